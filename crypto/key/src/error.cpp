#include "sluice/crypto/key/error.hpp"

#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice::crypto {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<errc>(code)) {
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
    case errc::incomplete:
      return "end of the stream not reached";
    case errc::corrupt:
      return "journal damaged";
    case errc::gap:
      return "sequence not held";
    case errc::no_numbers:
      return "sequence numbers used up";
    case errc::replaced:
      return "journal replaced";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice.crypto", text_of);

}  // namespace

const std::error_category& category() noexcept {
  return kCategory.get();
}

}  // namespace sluice::crypto
