#include "sluice/crypto/seal/streaming_encryptor.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "chunk_cipher.hpp"
#include "secure_buffer.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/crypto/key/error.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {

struct StreamingEncryptor::State {
  ByteSink& sink;
  std::size_t chunk_bytes;
  ChunkCipher cipher;
  std::vector<std::byte> buffer;  // plaintext that waits for its chunk to fill; sealed in place
  std::size_t filled = 0;
  std::uint64_t number = 0;
  bool closed = false;
  std::exception_ptr failure;
  base::OwnerProcess owner;

  State(ByteSink& target, const StreamStart& start)
      : sink(target),
        chunk_bytes(start.chunk_bytes),
        cipher(ChunkCipher::Direction::seal, start.keys),
        buffer(start.sealed_chunk_size()) {
    sink.write(start.header);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { wipe(buffer); }

  // Whole chunks are sealed straight from the caller's memory, and into the sink's if it has any.
  void add(std::span<const std::byte> plaintext) {
    while (!plaintext.empty()) {
      const std::size_t count = std::min(plaintext.size(), chunk_bytes - filled);
      const auto part = plaintext.first(count);
      plaintext = plaintext.subspan(count);
      if (count == chunk_bytes) {
        emit(part);
        continue;
      }
      std::ranges::copy(part, buffer.begin() + static_cast<std::ptrdiff_t>(filled));
      filled += count;
      if (filled == chunk_bytes) flush();
    }
  }

  void flush() {
    emit(std::span(buffer).first(filled));
    filled = 0;
  }

  void emit(std::span<const std::byte> plaintext) {
    const std::size_t size = plaintext.size() + kTagSize;
    if (const auto place = sink.claim(size)) {
      cipher.seal(number, plaintext, *place);
    } else {
      cipher.seal(number, plaintext, std::span(buffer).first(size));
      sink.write(std::span(buffer).first(size));
    }
    ++number;
  }

  template <typename Step>
  void guarded(Step step) {
    if (failure) std::rethrow_exception(failure);
    try {
      step();
    } catch (...) {
      failure = std::current_exception();
      throw;
    }
  }
};

StreamingEncryptor::StreamingEncryptor(ByteSink& sink, const SecretKey& key, const SealOptions& options)
    : StreamingEncryptor(sink, start_sealing(key, options)) {}
StreamingEncryptor::StreamingEncryptor(ByteSink& sink, StreamStart start)
    : state_(std::make_unique<State>(sink, start)) {}
StreamingEncryptor::StreamingEncryptor(StreamingEncryptor&&) noexcept = default;
StreamingEncryptor& StreamingEncryptor::operator=(StreamingEncryptor&&) noexcept = default;
StreamingEncryptor::~StreamingEncryptor() = default;

void StreamingEncryptor::write(std::span<const std::byte> plaintext) {
  State& state = base::own(state_, "a StreamingEncryptor");
  state.guarded([&] {
    if (state.closed) throw error(sluice::errc::misuse, "write to a sealed stream after close");
    state.add(plaintext);
  });
}

void StreamingEncryptor::close() {
  State& state = base::own(state_, "a StreamingEncryptor");
  state.guarded([&] {
    if (!std::exchange(state.closed, true)) state.flush();
  });
}

}  // namespace sluice::crypto
