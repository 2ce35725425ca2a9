// The engine of every format here: AES-256-GCM over numbered chunks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "secure_buffer.hpp"
#include "sluice/base/detail/fork_generation.hpp"

namespace sluice::crypto {

/// What a stream's key derivation gives: AES key, base nonce, and the commitment that is stored in the open.
struct StreamKeys {
  static constexpr std::size_t kKeySize = 32;
  static constexpr std::size_t kNonceSize = 12;
  static constexpr std::size_t kCommitmentSize = 32;

  SecureBuffer memory{kKeySize + kNonceSize + kCommitmentSize};

  std::span<const std::byte> key() const { return memory.bytes().first(kKeySize); }
  std::span<const std::byte> base_nonce() const { return memory.bytes().subspan(kKeySize, kNonceSize); }
  std::span<const std::byte> commitment() const { return memory.bytes().subspan(kKeySize + kNonceSize); }
};

/// Seals or opens chunk number i under nonce = base_nonce XOR big-endian(i). The EVP context is kept; only
/// the nonce changes from chunk to chunk. One direction an object; one thread at a time.
///
/// Invariant of the caller: under one (key, base nonce) no number is ever sealed twice with different bytes.
/// A forked child would do just that: there both calls are sluice::errc::misuse, whoever makes them.
class ChunkCipher {
 public:
  enum class Direction { seal, open };

  ChunkCipher(Direction direction, std::span<const std::byte> key, std::span<const std::byte> base_nonce);
  ChunkCipher(Direction direction, const StreamKeys& keys)
      : ChunkCipher(direction, keys.key(), keys.base_nonce()) {}
  ChunkCipher(ChunkCipher&&) noexcept;
  ChunkCipher& operator=(ChunkCipher&&) noexcept;
  ChunkCipher(const ChunkCipher&) = delete;
  ChunkCipher& operator=(const ChunkCipher&) = delete;
  ~ChunkCipher();

  /// Writes plain.size() bytes of ciphertext and the tag into `sealed` (plain.size() + kTagSize bytes, which
  /// may start at the plaintext's own place). errc::too_long from number 2^32 on.
  void seal(std::uint64_t number, std::span<const std::byte> plain, std::span<std::byte> sealed,
            std::span<const std::byte> associated = {});

  /// Writes the verified plaintext (sealed.size() - kTagSize bytes, which may start at the ciphertext's own
  /// place but not overlap it otherwise) and returns true, or wipes `plain` and returns false.
  [[nodiscard]] bool open(std::uint64_t number, std::span<const std::byte> sealed, std::span<std::byte> plain,
                          std::span<const std::byte> associated = {});

 private:
  void set_nonce(std::uint64_t number);

  struct Context;
  std::unique_ptr<Context> context_;
  base::OwnerProcess owner_;
  std::array<std::byte, StreamKeys::kNonceSize> base_nonce_{};
};

}  // namespace sluice::crypto
