// A 256-bit key in guarded memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
class SecureBuffer;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Says which key a file was sealed with and reveals nothing else of it:
/// HKDF-Expand-SHA-512(key, "AGCM v2 key id", 16).
struct KeyId {
  std::array<std::byte, 16> bytes{};

  friend bool operator==(const KeyId&, const KeyId&) = default;
  std::string to_hex() const;
};

/// Cost of turning a passphrase into a key with Argon2id (RFC 9106, one lane, as libsodium computes it).
struct PassphraseParameters {
  static constexpr std::uint32_t kMinMemoryKib = 8 * 1024;     ///< 8 MiB
  static constexpr std::uint32_t kMaxMemoryKib = 1024 * 1024;  ///< 1 GiB
  static constexpr std::uint32_t kMaxPasses = 16;

  std::uint32_t memory_kib = 256 * 1024;  ///< kMinMemoryKib .. kMaxMemoryKib
  std::uint32_t passes = 3;               ///< 1 .. kMaxPasses
  std::array<std::byte, 16> salt{};       ///< random, one for each key: see with_random_salt()

  static PassphraseParameters with_random_salt();
};

/// 32 uniform bytes between guard pages: locked in memory if the limits allow (locked() tells), left out of
/// core dumps, read-only once set, zeroed at the end. Movable, not copyable. Const use is thread-safe. Of a
/// moved-from key bytes() and locked() are sluice::errc::misuse.
class SecretKey {
 public:
  static constexpr std::size_t kSize = 32;

  /// A new key from the kernel's random generator.
  static SecretKey generate();

  /// Takes over exactly kSize uniform bytes, else sluice::errc::bad_option. The caller wipes its own copy.
  static SecretKey from_bytes(std::span<const std::byte> bytes);

  /// Argon2id; sluice::errc::bad_option outside the documented ranges, std::bad_alloc if the memory isn't
  /// there.
  static SecretKey from_passphrase(std::string_view passphrase, const PassphraseParameters& parameters);

  SecretKey(SecretKey&&) noexcept;
  SecretKey& operator=(SecretKey&&) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;
  ~SecretKey();

  std::span<const std::byte, kSize> bytes() const;
  const KeyId& id() const noexcept { return id_; }

  /// 16 bytes that nobody without the key can compute, or tell from random ones:
  /// HKDF-Expand-SHA-512(key, purpose || 0x00 || text, 16). The purpose, without a zero byte in it, keeps apart what
  /// one key is used for; it begins with "sluice ".
  std::array<std::byte, 16> tag(std::string_view purpose, std::span<const std::byte> text) const;

  /// Whether the key's page is locked in memory; false if RLIMIT_MEMLOCK is too small, and in a forked child
  /// (locks aren't inherited): it then works, but may be swapped out.
  bool locked() const;

 private:
  explicit SecretKey(std::unique_ptr<SecureBuffer> memory);

  std::unique_ptr<SecureBuffer> memory_;
  KeyId id_;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
