#include "sluice/crypto/seal/streaming_decryptor.hpp"

#include <algorithm>
#include <exception>
#include <vector>

#include "chunk_cipher.hpp"
#include "legacy_v1.hpp"
#include "secure_buffer.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/crypto/key/error.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {

struct StreamingDecryptor::State {
  ByteSource& source;
  std::uint32_t chunk_bytes;
  bool legacy_v1;
  ChunkCipher cipher;
  std::vector<std::byte> buffer;         // one sealed chunk, opened in place
  std::span<const std::byte> pending{};  // verified plaintext in the buffer, not handed out yet
  std::uint64_t number = 0;
  bool last_chunk_seen = false;
  std::exception_ptr failure;
  base::OwnerProcess owner;

  State(ByteSource& from, const StreamStart& start)
      : source(from),
        chunk_bytes(start.chunk_bytes),
        legacy_v1(start.legacy_v1),
        cipher(ChunkCipher::Direction::open, start.keys),
        buffer(start.sealed_chunk_size()) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { wipe(buffer); }

  // A chunk shorter than the rest is the last one: whatever follows a stream makes its last chunk longer
  // instead, and that fails.
  std::span<const std::byte> next_sealed() {
    std::span<const std::byte> sealed;
    if (const auto view = source.take(buffer.size())) {
      if (view->size() > buffer.size())
        throw error(sluice::errc::misuse, "a byte source returned more than was asked for");
      sealed = *view;
    } else {
      sealed = std::span(buffer).first(read_full(source, buffer));
    }
    last_chunk_seen = sealed.size() < buffer.size();
    if (sealed.size() < kTagSize) throw_not_authentic();
    return sealed;
  }

  std::span<const std::byte> next_sealed_legacy() {
    const auto sealed = read_legacy_chunk(source, buffer);
    last_chunk_seen = !sealed;
    return sealed.value_or(std::span<const std::byte>{});
  }

  // Opens the next chunk into `into` (chunk_bytes bytes or more); returns its plaintext.
  std::span<const std::byte> open_next(std::span<std::byte> into) {
    const auto sealed = legacy_v1 ? next_sealed_legacy() : next_sealed();
    if (sealed.empty()) return {};
    const auto plain = into.first(sealed.size() - kTagSize);
    if (!cipher.open(legacy_v1 ? 0 : number, sealed, plain)) throw_not_authentic();
    ++number;
    return plain;
  }

  std::size_t fill(std::span<std::byte> into, std::size_t& done) {
    while (done < into.size()) {
      const auto room = into.subspan(done);
      if (!pending.empty()) {
        const auto part = pending.first(std::min(pending.size(), room.size()));
        std::ranges::copy(part, room.begin());
        pending = pending.subspan(part.size());
        done += part.size();
      } else if (last_chunk_seen) {
        break;
      } else if (room.size() >= chunk_bytes) {
        done += open_next(room).size();
      } else {
        pending = open_next(buffer);
      }
    }
    return done;
  }
};

StreamingDecryptor::StreamingDecryptor(ByteSource& source, const Keys& keys, const OpenOptions& options)
    : StreamingDecryptor(source, start_opening(source, keys, options)) {}
StreamingDecryptor::StreamingDecryptor(ByteSource& source, StreamStart start)
    : state_(std::make_unique<State>(source, start)) {}
StreamingDecryptor::StreamingDecryptor(StreamingDecryptor&&) noexcept = default;
StreamingDecryptor& StreamingDecryptor::operator=(StreamingDecryptor&&) noexcept = default;
StreamingDecryptor::~StreamingDecryptor() = default;

std::size_t StreamingDecryptor::read(std::span<std::byte> into) {
  State& state = base::own(state_, "a StreamingDecryptor");
  if (state.failure) std::rethrow_exception(state.failure);
  std::size_t done = 0;
  try {
    state.fill(into, done);
  } catch (...) {
    state.failure = std::current_exception();
    if (done == 0) throw;
  }
  return done;
}

void StreamingDecryptor::close() {
  // A reader that knows the length stops before the empty last chunk of a stream of whole chunks: it is
  // opened here.
  std::byte beyond{};
  if (read({&beyond, 1}) != 0) throw error(errc::incomplete, "sealed stream closed before its verified end");
}

std::uint32_t StreamingDecryptor::chunk_bytes() const {
  return base::held(state_, "a StreamingDecryptor").chunk_bytes;
}

bool StreamingDecryptor::is_legacy_v1() const {
  return base::held(state_, "a StreamingDecryptor").legacy_v1;
}

}  // namespace sluice::crypto
