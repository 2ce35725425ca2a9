#include "sluice/crypto/seal/random_access_decryptor.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "chunk_cipher.hpp"
#include "secure_buffer.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/crypto/key/error.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {
namespace {

// The header's bytes of a random-access source, as a source of the streaming kind.
class HeaderSource final : public ByteSource {
 public:
  explicit HeaderSource(RandomAccessSource& source) : source_(&source) {}
  std::size_t read(std::span<std::byte> into) override {
    const auto count = std::min<std::uint64_t>(into.size(), source_->size() - position_);
    source_->read_at(position_, into.first(count));
    position_ += count;
    return count;
  }

 private:
  RandomAccessSource* source_;
  std::uint64_t position_ = 0;
};

StreamStart start_random_access(RandomAccessSource& source, const Keys& keys, OpenOptions options) {
  options.allow_legacy_v1 = false;
  HeaderSource header(source);
  return start_opening(header, keys, options);
}

}  // namespace

struct RandomAccessDecryptor::State {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  RandomAccessSource& source;
  std::uint64_t header_size;
  std::uint32_t chunk_bytes;
  ChunkCipher cipher;
  std::uint64_t body_size;
  std::uint64_t last_chunk;
  std::vector<std::byte> sealed;
  std::vector<std::byte> plain;  // of chunk `held`
  std::uint64_t held = kNone;
  base::OwnerProcess owner;

  State(RandomAccessSource& from, const StreamStart& start)
      : source(from),
        header_size(start.header.size()),
        chunk_bytes(start.chunk_bytes),
        cipher(ChunkCipher::Direction::open, start.keys),
        body_size(source.size() - header_size),
        last_chunk(body_size / start.sealed_chunk_size()),
        sealed(start.sealed_chunk_size()),
        plain(chunk_bytes) {
    if (last_chunk >= kMaxChunks || sealed_size(last_chunk) < kTagSize) throw_not_authentic();
    hold(last_chunk);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { wipe(plain); }

  std::size_t sealed_size(std::uint64_t chunk) const {
    return static_cast<std::size_t>(chunk < last_chunk ? sealed.size() : body_size % sealed.size());
  }
  std::uint64_t size() const { return last_chunk * chunk_bytes + sealed_size(last_chunk) - kTagSize; }

  void open_into(std::uint64_t chunk, std::span<std::byte> into) {
    const auto part = std::span(sealed).first(sealed_size(chunk));
    source.read_at(header_size + chunk * sealed.size(), part);
    if (!cipher.open(chunk, part, into)) throw_not_authentic();
  }

  void hold(std::uint64_t chunk) {
    if (held == chunk) return;
    held = kNone;
    open_into(chunk, std::span(plain).first(sealed_size(chunk) - kTagSize));
    held = chunk;
  }
};

RandomAccessDecryptor::RandomAccessDecryptor(RandomAccessSource& source, const Keys& keys,
                                             const OpenOptions& options)
    : state_(std::make_unique<State>(source, start_random_access(source, keys, options))) {}
RandomAccessDecryptor::RandomAccessDecryptor(RandomAccessDecryptor&&) noexcept = default;
RandomAccessDecryptor& RandomAccessDecryptor::operator=(RandomAccessDecryptor&&) noexcept = default;
RandomAccessDecryptor::~RandomAccessDecryptor() = default;

std::uint64_t RandomAccessDecryptor::size() const {
  return base::held(state_, "a RandomAccessDecryptor").size();
}

std::size_t RandomAccessDecryptor::read(std::uint64_t offset, std::span<std::byte> into) {
  State& state = base::own(state_, "a RandomAccessDecryptor");
  const std::uint64_t size = state.size();
  if (offset >= size) return 0;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size - offset));
  std::size_t done = 0;
  while (done < wanted) {
    const std::uint64_t chunk = (offset + done) / state.chunk_bytes;
    const auto inside = static_cast<std::size_t>((offset + done) % state.chunk_bytes);
    const std::size_t chunk_bytes = state.sealed_size(chunk) - kTagSize;
    if (inside == 0 && wanted - done >= chunk_bytes && state.held != chunk) {
      state.open_into(chunk, into.subspan(done, chunk_bytes));  // whole chunks need no copy
      done += chunk_bytes;
      continue;
    }
    state.hold(chunk);
    const std::size_t count = std::min(wanted - done, chunk_bytes - inside);
    std::ranges::copy(std::span(state.plain).subspan(inside, count),
                      into.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
  }
  return done;
}

}  // namespace sluice::crypto
