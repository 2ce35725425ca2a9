// SHA-2 digests for comparing with vectors.
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "hex.hpp"

namespace sluice::crypto::test {

inline std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<std::byte, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(digest.data()),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return hex(digest);
}

inline std::string sha512_hex(std::span<const std::byte> bytes) {
  std::array<std::byte, crypto_hash_sha512_BYTES> digest{};
  crypto_hash_sha512(reinterpret_cast<unsigned char*>(digest.data()),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return hex(digest);
}

}  // namespace sluice::crypto::test
