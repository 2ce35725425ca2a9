// Reads a sealed stream at any position, a chunk at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/options.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Opens only the chunks that a read touches, and keeps the last one. The constructor verifies the header and
/// the last chunk, so size() is authentic; a chunk in the middle is verified when it is read. One thread at a
/// time; several objects on one file are independent. The source must outlive it. In a forked child reading
/// is sluice::errc::misuse.
class RandomAccessDecryptor {
 public:
  /// Errors as StreamingDecryptor; version 1 is always refused.
  RandomAccessDecryptor(RandomAccessSource& source, const Keys& keys, const OpenOptions& options = {});
  RandomAccessDecryptor(RandomAccessDecryptor&&) noexcept;
  RandomAccessDecryptor& operator=(RandomAccessDecryptor&&) noexcept;
  RandomAccessDecryptor(const RandomAccessDecryptor&) = delete;
  RandomAccessDecryptor& operator=(const RandomAccessDecryptor&) = delete;
  ~RandomAccessDecryptor();

  /// Plaintext bytes.
  std::uint64_t size() const;

  /// Reads from `offset`; returns less than into.size() only at the end of the plaintext (0 beyond it). If
  /// a chunk fails: errc::not_authentic, and `into` holds only what was verified, the rest zeroed or
  /// untouched.
  std::size_t read(std::uint64_t offset, std::span<std::byte> into);

 private:
  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
