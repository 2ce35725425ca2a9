// Opens a sealed stream of any length, holding one chunk of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/options.hpp"

namespace sluice::crypto {
struct StreamStart;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Reads a sealed stream from a source:
///
///     StreamingDecryptor decryptor(source, key, {.context = "logs"});
///     while (std::size_t count = decryptor.read(buffer)) use(buffer.first(count));   // 0 is the verified
///     end decryptor.close();
///
/// No byte is handed out before its chunk is verified; only the end proves that the stream is whole. Whole
/// chunks are opened in the caller's memory and wiped from there if they fail, so don't give memory that
/// others watch. One thread at a time. The keys are needed only by the constructor; the source must outlive
/// the last read. The first error is kept: every later call throws it again. In a forked child, which shares
/// the source's place, reading is sluice::errc::misuse, and so is every call of what was moved from.
class StreamingDecryptor {
 public:
  /// Reads and verifies the header. Errors: short_header, bad_magic, bad_version, legacy_refused,
  /// bad_chunk_size, bad_algorithm, bad_flags, unknown_key, not_authentic, and what the source throws.
  StreamingDecryptor(ByteSource& source, const Keys& keys, const OpenOptions& options = {});
  /// Goes on after a header that was read already.
  StreamingDecryptor(ByteSource& source, StreamStart start);
  StreamingDecryptor(StreamingDecryptor&&) noexcept;
  StreamingDecryptor& operator=(StreamingDecryptor&&) noexcept;
  StreamingDecryptor(const StreamingDecryptor&) = delete;
  StreamingDecryptor& operator=(const StreamingDecryptor&) = delete;
  ~StreamingDecryptor();

  /// Fills `into` unless the end (or a bad chunk) comes first; returns the bytes written, 0 only at the
  /// verified end (or for an empty `into`). errc::not_authentic once all the good chunks before have been
  /// handed out.
  std::size_t read(std::span<std::byte> into);

  /// Verifies that nothing is left: errc::incomplete if plaintext wasn't read, else as read().
  void close();

  std::uint32_t chunk_bytes() const;
  /// Whether this is the unprotected version 1.
  bool is_legacy_v1() const;

 private:
  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
