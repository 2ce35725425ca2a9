#include "sluice/ipc/stream/stream_error.hpp"

#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<stream_errc>(code)) {
    case stream_errc::rejected:
      return "rejected by the receiver";
    case stream_errc::sender_failed:
      return "the sender failed";
    case stream_errc::closed:
      return "port closed";
    case stream_errc::peer_died:
      return "peer died";
    case stream_errc::timed_out:
      return "timed out";
    case stream_errc::protocol:
      return "protocol rule broken";
    case stream_errc::cancelled:
      return "cancelled";
    case stream_errc::port_failed:
      return "port failed";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice.stream", text_of);

}  // namespace

const std::error_category& stream_category() noexcept {
  return kCategory.get();
}

}  // namespace sluice
