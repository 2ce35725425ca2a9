// The header of C2SP chunked encryption with AES-256-GCM, "Cobblestone-256" (c2sp.org/chunked-encryption):
// salt[24] || commitment[32], then chunks of 16 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::crypto {

struct C2spHeader {
  static constexpr std::size_t kSize = 56;
  static constexpr std::size_t kSaltSize = 24;
  static constexpr std::uint32_t kChunkSize = 16 * 1024;
  /// Comes first in HKDF's info, with a zero byte after it, then salt and context.
  static constexpr std::string_view kInfo = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM";
};

}  // namespace sluice::crypto
