#include "sluice/base/error.hpp"

#include <cerrno>
#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<errc>(code)) {
    case errc::bad_option:
      return "option out of range";
    case errc::bad_name:
      return "unusable name";
    case errc::unsafe_place:
      return "unsafe place";
    case errc::timed_out:
      return "timed out";
    case errc::busy:
      return "in use by another writer";
    case errc::misuse:
      return "misuse";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice", text_of);

}  // namespace

std::string words_of(const std::exception& failure) {
  const char* const words = failure.what();
  return words == nullptr ? "an exception without words" : words;
}

namespace base {

std::string ErrorCategory::Category::message(int code) const {
  const std::string_view text = text_of_(code);
  return text.empty() ? "unknown error " + std::to_string(code) : std::string(text);
}

}  // namespace base

const std::error_category& category() noexcept {
  return kCategory.get();
}

std::string error::detail() const {
  std::string_view detail = what();
  const std::string ending = ": " + code().message();
  if (detail.ends_with(ending)) detail.remove_suffix(ending.size());
  return std::string(detail);
}

error error::about(const std::string& name) const {
  return {code(), name + ": " + detail()};
}

void throw_errno(const std::string& what) {
  throw_errno(errno, what);
}

void throw_errno(int saved_errno, const std::string& what) {
  throw error(std::error_code(saved_errno, std::system_category()), what);
}

}  // namespace sluice
