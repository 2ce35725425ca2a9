// HKDF with SHA-512 (RFC 5869), on libsodium's HMAC.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>

namespace sluice::crypto {

/// HKDF-Extract: 64 bytes into `prk`.
void hkdf_extract(std::span<const std::byte> salt, std::span<const std::byte> input_key,
                  std::span<std::byte, 64> prk);

/// HKDF-Expand: fills `output` (at most 255 * 64 bytes, else sluice::errc::bad_option). `info` is the parts
/// one after the other. Nothing of `prk` stays behind in memory; put `output` into a SecureBuffer.
void hkdf_expand(std::span<const std::byte> prk, std::initializer_list<std::span<const std::byte>> info,
                 std::span<std::byte> output);

}  // namespace sluice::crypto
