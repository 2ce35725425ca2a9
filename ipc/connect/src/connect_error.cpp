#include "sluice/ipc/connect/connect_error.hpp"

#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<connect_errc>(code)) {
    case connect_errc::name_taken:
      return "name already taken";
    case connect_errc::refused:
      return "refused";
    case connect_errc::protocol:
      return "handshake rule broken";
    case connect_errc::bad_version:
      return "version not supported";
    case connect_errc::peer_gone:
      return "peer gone";
    case connect_errc::closed:
      return "closed";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice.connect", text_of);

}  // namespace

const std::error_category& connect_category() noexcept {
  return kCategory.get();
}

}  // namespace sluice
