// Seals a stream of any length, holding one chunk of it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/secret_key.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/options.hpp"

namespace sluice::crypto {
struct StreamStart;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Writes a sealed stream to a sink:
///
///     StreamingEncryptor encryptor(sink, key, {.context = "logs"});
///     encryptor.write(part);       // as often as needed, any sizes
///     encryptor.close();           // writes the last chunk; without it no reader accepts the stream
///
/// One thread at a time. The key is needed only by the constructor; the sink must outlive close(). The first
/// error is kept: every later call throws it again. The destructor writes nothing. In a forked child every
/// call is sluice::errc::misuse: it would seal with nonces that the parent uses. So is every call of what was
/// moved from.
class StreamingEncryptor {
 public:
  /// Writes the header. Errors: sluice::errc::bad_option, and what the sink throws.
  StreamingEncryptor(ByteSink& sink, const SecretKey& key, const SealOptions& options = {});
  /// Continues from a prepared header; for known-answer tests, which need a fixed salt.
  StreamingEncryptor(ByteSink& sink, StreamStart start);
  StreamingEncryptor(StreamingEncryptor&&) noexcept;
  StreamingEncryptor& operator=(StreamingEncryptor&&) noexcept;
  StreamingEncryptor(const StreamingEncryptor&) = delete;
  StreamingEncryptor& operator=(const StreamingEncryptor&) = delete;
  ~StreamingEncryptor();

  /// Adds plaintext. Errors: errc::too_long after 2^32 chunks, sluice::errc::misuse after close(), and what
  /// the sink throws.
  void write(std::span<const std::byte> plaintext);

  /// Seals the last chunk; a second call does nothing.
  void close();

 private:
  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
