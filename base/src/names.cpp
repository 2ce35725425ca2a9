#include "sluice/base/detail/names.hpp"

#include <algorithm>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::base {
namespace {

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

}  // namespace

void check_name(const std::string& what, std::string_view name, const std::string& hint) {
  const auto refuse = [&](const std::string& reason) {
    throw error(errc::bad_name, what + " " + quoted_text(name) + " " + reason);
  };
  if (name.empty()) refuse("is empty; expected 1 to " + std::to_string(kMaxNameBytes) + " bytes");
  if (name.size() > kMaxNameBytes) {
    refuse("has " + std::to_string(name.size()) + " bytes; expected at most " +
           std::to_string(kMaxNameBytes));
  }
  if (name.front() == '.') refuse("begins with a dot");
  const auto* const odd = std::find_if_not(name.begin(), name.end(), is_name_character);
  if (odd != name.end()) {
    refuse("contains " + quoted_text({odd, 1}) + "; expected letters, digits, '.', '_' and '-'" + hint);
  }
}

}  // namespace sluice::base
