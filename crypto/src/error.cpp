#include "sluice/crypto/error.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <new>

namespace sluice::crypto {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "sluice.crypto"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::bad_option:
        return "option out of range";
      case errc::short_header:
        return "input ends inside the header";
      case errc::bad_magic:
        return "not a sealed file";
      case errc::bad_version:
        return "version not supported";
      case errc::legacy_refused:
        return "version 1 refused";
      case errc::bad_algorithm:
        return "algorithm not supported";
      case errc::bad_flags:
        return "flags not supported";
      case errc::bad_chunk_size:
        return "chunk size out of range";
      case errc::unknown_key:
        return "sealed with another key";
      case errc::not_authentic:
        return "authentication failed";
      case errc::malformed:
        return "malformed stream";
      case errc::too_long:
        return "stream too long";
      case errc::no_room:
        return "destination too small";
      case errc::cancelled:
        return "cancelled";
      case errc::bad_key_file:
        return "not a key file";
      case errc::unsafe_key_file:
        return "unsafe key file";
      case errc::wrong_passphrase:
        return "wrong passphrase";
      case errc::unsafe_target:
        return "unsafe place to write";
      case errc::busy:
        return "in use by another writer";
      case errc::incomplete:
        return "end of the stream not reached";
      case errc::misuse:
        return "misuse";
      case errc::corrupt:
        return "journal damaged";
      case errc::gap:
        return "sequence not held";
    }
    return "unknown error " + std::to_string(value);
  }
};

}  // namespace

const std::error_category& category() noexcept {
  // Never destroyed: threads may still meet an error at the very end of the program.
  alignas(Category) static std::array<std::byte, sizeof(Category)> room;
  static const auto* const instance = ::new (room.data()) Category;
  return *instance;
}

void throw_errno(const std::string& what) {
  throw error(std::error_code(errno, std::system_category()), what);
}

}  // namespace sluice::crypto
