// AGCM version 1, for reading only. Every chunk of a file has the same key and nonce, chunks carry no number,
// and nothing marks the end: a reader can't notice chunks forged, reordered, doubled, dropped or cut off.
//
//   0  4 "AGCM"     4  4 version = 1     8 12 nonce     20  4 chunk size, 1 .. 10 MiB
//   then per chunk: n u32 (plaintext + 16) | ciphertext | tag[16]; numbers are little-endian
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sluice/crypto/seal/byte_io.hpp"

namespace sluice::crypto {

struct LegacyV1Header {
  static constexpr std::size_t kSize = 24;
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uint32_t kMaxChunkSize = 10 * 1024 * 1024;

  std::span<const std::byte> nonce;  ///< points into the decoded bytes
  std::uint32_t chunk_bytes = 0;

  /// `bytes` begins with the magic and version 1. errc::short_header or bad_chunk_size.
  static LegacyV1Header decode(std::span<const std::byte> bytes);
};

/// The next sealed chunk, read into `buffer` (chunk size + tag), or nullopt at the end of the source.
/// errc::malformed if the length makes no sense or the source ends inside a chunk.
std::optional<std::span<const std::byte>> read_legacy_chunk(ByteSource& source, std::span<std::byte> buffer);

}  // namespace sluice::crypto
