// The start of a stream: its header bytes, and what they and the input key give.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "chunk_cipher.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/options.hpp"

namespace sluice::crypto {

/// A salt fresh for every stream is what makes its (key, nonce) pairs unique.
using Salt = std::array<std::byte, 24>;

struct StreamStart {
  std::vector<std::byte> header;
  std::uint32_t chunk_bytes = 0;
  StreamKeys keys;  // secure memory is slow to make: give it in the initializer
  bool legacy_v1 = false;

  std::size_t sealed_chunk_size() const { return std::size_t{chunk_bytes} + kTagSize; }
};

/// The chunk size that `options` mean. sluice::errc::bad_option.
std::uint32_t chosen_chunk_size(const SealOptions& options);

/// Makes a new stream's start. Errors: sluice::errc::bad_option. A given salt is for known-answer tests only.
StreamStart start_sealing(const SecretKey& key, const SealOptions& options,
                          const std::optional<Salt>& salt = std::nullopt);

/// Reads and checks a header, finds its key and verifies the commitment; nothing is allocated from its
/// fields.
StreamStart start_opening(ByteSource& source, const Keys& keys, const OpenOptions& options);

/// The first error of start_opening for a stream whose commitment (or later a chunk) doesn't fit.
[[noreturn]] void throw_not_authentic();

}  // namespace sluice::crypto
