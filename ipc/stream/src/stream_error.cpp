#include "sluice/ipc/stream/stream_error.hpp"

#include <array>
#include <cstddef>
#include <new>

namespace sluice {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "sluice.stream"; }

  std::string message(int value) const override {
    switch (static_cast<stream_errc>(value)) {
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
    return "unknown stream error " + std::to_string(value);
  }
};

}  // namespace

const std::error_category& stream_category() noexcept {
  // Never destroyed: threads may still meet an error at the very end of the program.
  alignas(Category) static std::array<std::byte, sizeof(Category)> room;
  static const auto* const instance = ::new (room.data()) Category;
  return *instance;
}

}  // namespace sluice
