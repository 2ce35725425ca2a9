// Where packed bytes go: into ring memory if the port has it, or into memory of our own.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <limits>
#include <msgpack.hpp>
#include <span>
#include <utility>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/status.hpp"
#include "sluice/codec/variant.hpp"
#include "sluice/ipc/port/claim.hpp"
#include "sluice/ipc/port/message_port.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

template <typename P>
concept ClaimingPort = MessagePortLike<P> &&
    requires(P& port, std::size_t bytes, std::span<const std::byte> message, Deadline deadline) {
  { port.try_claim(bytes) } -> std::same_as<Claim>;
  { port.claim_until(bytes, deadline) } -> std::same_as<Claim>;
  { port.max_message_bytes() } -> std::convertible_to<std::size_t>;
  { port.post_message_until(message, deadline) } -> std::same_as<Status>;
  { port.try_post_message(message) } -> std::same_as<Status>;
  { port.append_message(message) } -> std::same_as<Status>;
};

template <typename P>
concept CanPostUntil = ClaimingPort<P> ||
    requires(P& port, std::span<const std::byte> bytes, Deadline deadline) {
  { port.post_parts_until(bytes, bytes, deadline) } -> std::same_as<Status>;
};

template <typename P>
concept CanPostWithoutWaiting = ClaimingPort<P> || requires(P& port, std::span<const std::byte> bytes) {
  { port.try_post_message(bytes) } -> std::same_as<Status>;
};

/// A msgpack stream over a fixed room. What doesn't fit is counted, not written.
class RoomWriter {
 public:
  explicit RoomWriter(std::span<std::byte> room = {}) noexcept : next_(room.data()), left_(room.size()) {}

  void write(const char* bytes, std::size_t count) noexcept {
    total_ += count;
    if (count > left_) {
      left_ = 0;
      fits_ = false;
    } else if (count != 0) {
      std::memcpy(next_, bytes, count);
      next_ += count;
      left_ -= count;
    }
  }

  bool fits() const noexcept { return fits_; }
  /// Bytes that the value takes.
  std::size_t total() const noexcept { return total_; }

 private:
  std::byte* next_;
  std::size_t left_;
  std::size_t total_ = 0;
  bool fits_ = true;
};

/// A msgpack stream over memory that grows.
class GrowingWriter {
 public:
  void write(const char* bytes, std::size_t count) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + count);  // (gcc 12 warns of an overflow inside insert() that can't be)
    if (count != 0) std::memcpy(bytes_.data() + at, bytes, count);
  }
  void write(std::span<const std::byte> bytes) {
    write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::size_t size() const noexcept { return bytes_.size(); }
  std::vector<std::byte> take() && noexcept { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

template <typename T>
RoomWriter pack_into(std::span<std::byte> room, const T& value) {
  RoomWriter writer(room);
  msgpack::packer<RoomWriter>(writer).pack(value);
  return writer;
}

/// Messages up to this size are packed on the stack and copied into the ring: that is cheaper than a claim, after
/// which the ring can't prepare for the next message.
inline constexpr std::size_t kSmallBytes = 512;

/// Bytes that the next T is likely to take: a little more than the last one took. Relaxed: it is a guess, and
/// publishes nothing.
template <typename T>
inline std::atomic<std::size_t> size_hint = kSmallBytes;

template <typename T>
void note_size(std::size_t guess, std::size_t taken) noexcept {
  if (taken > guess || taken < guess / 8)
    size_hint<T>.store(std::max(kSmallBytes, taken + taken / 4), std::memory_order_relaxed);
}

enum class Posting : unsigned char { post, try_post, append };

template <ClaimingPort P>
Status post_bytes(P& port, std::span<const std::byte> message, Posting posting, Deadline deadline) {
  switch (posting) {
    case Posting::try_post:
      return port.try_post_message(message);
    case Posting::append:
      return port.append_message(message);
    case Posting::post:
      break;
  }
  return port.post_message_until(message, deadline);
}

inline Status end_claim(Claim& claim, std::size_t bytes, Posting posting) {
  return posting == Posting::append ? claim.append(bytes) : claim.commit(bytes);
}

/// Packs a small value on the stack, a larger one straight into the ring. If the guess of its size was wrong, or
/// the room for it isn't there, the value has been measured, and exactly its room is claimed in the way that the
/// caller asked for.
template <ClaimingPort P, typename T>
Status post_value(P& port, const T& value, Posting posting, Deadline deadline) {
  const std::size_t guess = size_hint<T>.load(std::memory_order_relaxed);
  std::size_t bytes = 0;
  if (guess <= kSmallBytes) {
    std::array<std::byte, kSmallBytes> room;
    const RoomWriter written = pack_into(room, value);
    bytes = written.total();
    note_size<T>(guess, bytes);
    if (written.fits()) return post_bytes(port, std::span(room).first(bytes), posting, deadline);
  } else {
    Claim claim = port.try_claim(std::min<std::size_t>(guess, port.max_message_bytes()));
    const RoomWriter written = pack_into(claim.bytes(), value);
    bytes = written.total();
    note_size<T>(guess, bytes);
    if (claim && written.fits()) return end_claim(claim, bytes, posting);
  }
  Claim claim = posting == Posting::try_post ? port.try_claim(bytes) : port.claim_until(bytes, deadline);
  if (!claim) return claim.status();
  if (pack_into(claim.bytes(), value).total() != bytes) return Status::misuse;
  return end_claim(claim, bytes, posting);
}

/// The same for a port that takes bytes: they are packed into memory of this thread's, which is kept.
template <typename P, typename T>
Status post_value(P& port, const T& value, Posting posting, Deadline deadline) {
  thread_local std::vector<std::byte> kept;
  // Taken while it is in use: what packs the value, or what the port calls, may post, too.
  struct Borrowed {
    std::vector<std::byte> bytes = std::exchange(kept, {});
    ~Borrowed() { kept = std::move(bytes); }
  } borrowed;
  std::vector<std::byte>& packed = borrowed.bytes;
  if (packed.empty()) packed.resize(kSmallBytes);
  RoomWriter written = pack_into(packed, value);
  if (!written.fits()) {
    packed.resize(written.total());
    written = pack_into(packed, value);
    if (!written.fits()) return Status::misuse;
  }
  const std::span<const std::byte> message(packed.data(), written.total());
  if constexpr (CanPostWithoutWaiting<P>) {
    if (posting == Posting::try_post) return port.try_post_message(message);
  }
  if constexpr (CanPostUntil<P>) {
    return port.post_parts_until({}, message, deadline);
  } else {
    return port.post_message(message);
  }
}

}  // namespace sluice::codec::detail

#pragma GCC visibility pop
