#include "sluice/base/error.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <new>

namespace sluice {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "sluice"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::bad_option:
        return "option out of range";
      case errc::bad_name:
        return "unusable name";
      case errc::name_taken:
        return "name already taken";
      case errc::unsafe_directory:
        return "unsafe place for a socket";
      case errc::timed_out:
        return "timed out";
      case errc::refused:
        return "refused";
      case errc::protocol:
        return "handshake rule broken";
      case errc::bad_version:
        return "version not supported";
      case errc::bad_region:
        return "region refused";
      case errc::peer_gone:
        return "peer gone";
      case errc::broken_ring:
        return "ring rule broken";
      case errc::misuse:
        return "misuse";
      case errc::bad_checkpoint:
        return "checkpoint refused";
    }
    return "unknown error " + std::to_string(value);
  }
};

}  // namespace

const std::error_category& category() noexcept {
  // Never destroyed: a thread of a port in a static object may still meet an error at the very end of the
  // program.
  alignas(Category) static std::array<std::byte, sizeof(Category)> room;
  static const auto* const instance = ::new (room.data()) Category;
  return *instance;
}

void throw_errno(const std::string& what) {
  throw_errno(errno, what);
}

void throw_errno(int saved_errno, const std::string& what) {
  throw error(std::error_code(saved_errno, std::system_category()), what);
}

}  // namespace sluice
