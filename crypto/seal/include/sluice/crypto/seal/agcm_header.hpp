// The header of AGCM version 2: the contract with every file ever written. All numbers are little-endian.
//
//   offset  bytes  field
//        0      4  "AGCM"
//        4      4  version = 2
//        8     12  salt, first half, random
//       20      4  chunk size: a power of two, 4 KiB .. 8 MiB
//       24     12  salt, second half, random
//       36      2  algorithm = 1 (AES-256-GCM)
//       38      2  flags = 0
//       40     16  key id
//       56     32  commitment
//       88    ...  chunks: each chunk_bytes bytes of ciphertext and a 16-byte tag; the last one is shorter
//
//   key[32] || base_nonce[12] || commitment[32] = HKDF-Expand-SHA-512(input key,
//       "AGCM v2+AEAD_AES_256_GCM" 0x00 || header[0..55] || context)
//   chunk i = AES-256-GCM(key, base_nonce XOR big-endian(i), no associated data, plaintext)
//
// The construction is C2SP chunked encryption (c2sp.org/chunked-encryption) behind this header and with a
// chosen chunk size. docs/formats/agcm.md has a worked example.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

inline constexpr std::size_t kTagSize = 16;
inline constexpr std::uint64_t kMaxChunks = std::uint64_t{1} << 32;  ///< in one stream

struct AgcmHeader {
  static constexpr std::size_t kSize = 88;
  static constexpr std::size_t kBoundSize = 56;  ///< what the commitment covers
  static constexpr std::string_view kMagic = "AGCM";
  static constexpr std::uint32_t kVersion = 2;
  static constexpr std::uint16_t kAlgorithm = 1;
  static constexpr std::uint32_t kMinChunkSize = 4 * 1024;
  static constexpr std::uint32_t kMaxChunkSize = 8 * 1024 * 1024;
  static constexpr std::uint32_t kDefaultChunkSize = 64 * 1024;

  std::array<std::byte, 24> salt{};
  std::uint32_t chunk_bytes = kDefaultChunkSize;
  KeyId key_id;
  std::array<std::byte, 32> commitment{};

  std::array<std::byte, kSize> encode() const;

  /// Checks every field and throws errc::short_header, bad_magic, bad_version, bad_chunk_size, bad_algorithm
  /// or bad_flags. The commitment is only copied: it takes the key to check it.
  static AgcmHeader decode(std::span<const std::byte> bytes);
};

/// Whether AGCM version 2 allows chunks of this many bytes.
constexpr bool is_agcm_chunk_size(std::uint32_t size) {
  return size >= AgcmHeader::kMinChunkSize && size <= AgcmHeader::kMaxChunkSize && (size & (size - 1)) == 0;
}

}  // namespace sluice::crypto

#pragma GCC visibility pop
