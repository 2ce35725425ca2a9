// The bytes of a shared-memory region: a contract between two processes that may run different builds.
//
//   offset        bytes  what                 written by
//   0             4096   RegionHeader         owner, before the region is shared; constant afterwards
//   4096          128    ProducerTail         owner's producer, at every publication
//   4224          128    ProducerHistory      owner's producer, 64 times a lap at most
//   4352          128    ProducerWait         owner's producer, when it sleeps, and when the port is closed
//   4480          128    ConsumerRelease      owner's consumer, at every release
//   4608          128    ConsumerWait         owner's consumer, before it sleeps
//   4736          128    SessionPeer          owner, when it goes on with another region of its peer
//   data_offset   2^n    the byte ring        owner's producer; mapped twice in a row by both sides
//
// Only the owner writes a region. The peer maps it read-only, and the kernel enforces that (see region.hpp).
// Positions are 64-bit byte counts that only grow; the place of position p in the data is p mod capacity.
//
// A record is 8-byte aligned: a header word, then the payload, then padding to the next multiple of 8.
//
//   bits 0..29    payload bytes
//   bit  30       zero
//   bit  31       one ("published")
//   bits 32..63   low half of the sequence
//
// The header word is zero until the record is complete, and so is the word behind the last published record.
//
// Pairing table of the atomics. Each site in the code repeats its tag.
//
//   PUBLISH  store: record header, release                     load: Consumer::try_read, acquire
//            payload and later headers of the batch are visible with the header
//   TAIL     store: ProducerTail::tail, release                load: Consumer's sleep path, acquire
//            header and payload precede the tail
//   RELEASE  store: ConsumerRelease::released, release         load: Producer::refresh_released, acquire
//            reads of the record precede its being overwritten
//   OLDEST   store: ProducerHistory::oldest, release,          load: readers of history: acquire; and
//                   then a release fence                             again behind an acquire fence
//            the records from there on are visible; what was copied is unharmed if oldest is still not past it
//   SLEEP-C  store: ConsumerWait::wait_position,               load: the publication's barrier,
//                   then a full barrier                              then wait_position
//            either the publisher sees the wait position, or the sleeper sees the record; if the publisher's
//            barrier is light, only once the sleeper has issued a membarrier, too
//   SLEEP-P  store: ProducerWait::wait_position,               load: the release's barrier,
//                   then a full barrier                              then wait_position
//            the same for room
//   BARRIER  store: the publisher's `barrier`, relaxed; a      load: a sleeper's full barrier,
//                   full barrier if it becomes light                 then `barrier`, relaxed
//            a sleeper that reads "full" is seen by every later publication, whatever its barrier
//   CLOSE    store: ProducerWait::closed, release              load: the peer's port once the socket has
//                                                                    ended, acquire
//            all records precede the mark
//   FENCE    store: WaitGate::interrupt, then a barrier        load: a word of the peer, acquire,
//                   on every CPU, then the offer                     then the gate, then the word is used
//            what is used of a peer that is being replaced was there before its successor began to copy
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)

namespace sluice::ring {

/// A byte count since the start of a ring; 64 bits, grows for ever, compared modulo 2^64.
using Position = std::uint64_t;

/// Counts the records of a ring; the first has number 1.
using Sequence = std::uint64_t;

/// A session's random identity, shared by both of its regions.
using SessionId = std::array<std::uint8_t, 16>;

/// "SLUICE\0R" as a little-endian number.
inline constexpr std::uint64_t kMagic = 0x5200'4543'4955'4c53;
inline constexpr std::uint32_t kLayoutVersion = 1;

/// Two 64-byte lines, since the adjacent-line prefetcher moves them in pairs. Fixed, not a compiler's
/// constant: it is part of the layout.
inline constexpr std::size_t kLineBytes = 128;

inline constexpr std::uint64_t kMinCapacity = 4096;
inline constexpr std::uint64_t kMaxCapacity = 1ULL << 30U;

inline constexpr std::uint64_t kRecordAlign = 8;
inline constexpr std::uint64_t kRecordHeaderBytes = 8;
inline constexpr std::uint32_t kPublishedBit = 1U << 31U;
inline constexpr std::uint64_t kPayloadBytesMask = (1U << 30U) - 1;

/// The producer notes a record boundary each capacity/kMarksPerLap bytes; see Producer.
inline constexpr std::uint64_t kMarksPerLap = 64;

/// Which end of a session a region is of.
enum class RegionEnd : std::uint32_t { none, host, join };

/// Bits of RegionHeader::features.
enum Feature : std::uint32_t {
  /// The owner is registered for membarrier's global expedited command: a sleeper's membarrier reaches it.
  kFeatureBarrierTarget = 1U << 0U,
  /// The owner can issue that membarrier, and does before a long sleep.
  kFeatureBarrierSleeper = 1U << 1U,
};

/// What a publisher executes between the store of a position and the look at the wait position.
enum BarrierKind : std::uint32_t {
  kFullBarrier = 0,   ///< a full barrier: a sleeper's own full barrier completes the pair
  kLightBarrier = 1,  ///< nothing: a sleeper completes the pair by a membarrier, or sleeps for a bounded time
};

/// Whether this publisher's barrier may be light for this sleeper.
constexpr bool light_barrier_possible(std::uint32_t publisher_features,
                                      std::uint32_t sleeper_features) noexcept {
  return (publisher_features & kFeatureBarrierTarget) != 0 &&
         (sleeper_features & kFeatureBarrierSleeper) != 0;
}

/// Offset 0. Writer: the owner, before sharing. Readers copy it once and check the copy.
struct RegionHeader {
  std::uint64_t magic = kMagic;
  std::uint32_t layout_version = kLayoutVersion;
  std::uint32_t layout_hash = 0;    ///< kLayoutHash of the owner's build
  std::uint64_t capacity = 0;       ///< data bytes, a power of two, kMinCapacity .. kMaxCapacity
  std::uint64_t data_offset = 0;    ///< where the data starts; a multiple of the page size
  std::uint64_t replay_window = 0;  ///< released bytes that are never overwritten
  Position first_position = 0;      ///< where the producer started
  Sequence first_sequence = 1;      ///< the number of the record at first_position
  std::uint64_t epoch = 0;          ///< counts the connections of the session
  SessionId session{};
  std::uint32_t features = 0;           ///< a set of Feature bits
  RegionEnd end = RegionEnd::none;      ///< of a session
  std::array<std::uint8_t, 16> boot{};  ///< of a session: the boot of the machine, as far as it is known
};

/// Initial value of tail: first_position. Grows only.
struct alignas(kLineBytes) ProducerTail {
  std::atomic<Position> tail;           ///< end of the last published record; its low word is a futex
  std::atomic<Sequence> tail_sequence;  ///< number of the record that will start at tail; stored before tail
  std::atomic<std::uint32_t> barrier;   ///< the producer's present barrier, a BarrierKind
};

/// Initial value: first_position, first_sequence. Grows only, from record boundary to record boundary.
struct alignas(kLineBytes) ProducerHistory {
  std::atomic<Position> oldest;           ///< everything from here to the tail is intact
  std::atomic<Sequence> oldest_sequence;  ///< number of the record at oldest; stored before oldest
};

struct alignas(kLineBytes) ProducerWait {
  std::atomic<Position> wait_position;  ///< wake the producer when released passes this; first out of reach
  std::atomic<std::uint32_t> closed;    ///< 0, then 1 for ever: no record will follow
};

/// Initial value: the peer's first_position. Grows only.
struct alignas(kLineBytes) ConsumerRelease {
  std::atomic<Position> released;      ///< the peer may overwrite what lies before; its low word is a futex
  std::atomic<std::uint32_t> barrier;  ///< the consumer's present barrier, a BarrierKind
};

struct alignas(kLineBytes) ConsumerWait {
  std::atomic<Position> wait_position;  ///< wake the consumer when tail passes this; first out of reach
};

/// Of a session: tells regions that belong together from others of their session.
struct alignas(kLineBytes) SessionPeer {
  std::atomic<std::uint64_t> epoch;  ///< of the peer's region that the owner works with
};

/// The changing part of a region, at kControlOffset.
struct ControlPage {
  ProducerTail tail;
  ProducerHistory history;
  ProducerWait producer_wait;
  ConsumerRelease release;
  ConsumerWait consumer_wait;
  SessionPeer session_peer;
};

inline constexpr std::size_t kControlOffset = 4096;
inline constexpr std::size_t kControlBytes = 4096;

static_assert(std::endian::native == std::endian::little, "the low half of a position must be a futex word");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(RegionHeader) == 104 && sizeof(RegionHeader) <= kControlOffset);
static_assert(offsetof(RegionHeader, capacity) == 16 && offsetof(RegionHeader, session) == 64 &&
              offsetof(RegionHeader, boot) == 88);
static_assert(sizeof(ControlPage) == 6 * kLineBytes && sizeof(ControlPage) <= kControlBytes);
static_assert(offsetof(ControlPage, tail) == 0 && offsetof(ControlPage, history) == 128);
static_assert(offsetof(ControlPage, producer_wait) == 256 && offsetof(ControlPage, release) == 384);
static_assert(offsetof(ControlPage, consumer_wait) == 512 && offsetof(ControlPage, session_peer) == 640);

/// FNV-1a over every offset and size above: two builds with different layouts refuse each other.
constexpr std::uint32_t layout_hash() noexcept {
  constexpr std::array<std::uint64_t, 23> kFacts{
      sizeof(RegionHeader),
      offsetof(RegionHeader, capacity),
      offsetof(RegionHeader, data_offset),
      offsetof(RegionHeader, replay_window),
      offsetof(RegionHeader, first_position),
      offsetof(RegionHeader, first_sequence),
      offsetof(RegionHeader, epoch),
      offsetof(RegionHeader, session),
      offsetof(RegionHeader, features),
      offsetof(RegionHeader, end),
      offsetof(RegionHeader, boot),
      kControlOffset,
      offsetof(ControlPage, tail),
      offsetof(ControlPage, history),
      offsetof(ControlPage, producer_wait),
      offsetof(ControlPage, release),
      offsetof(ControlPage, consumer_wait),
      offsetof(ProducerTail, barrier),
      offsetof(ConsumerRelease, barrier),
      offsetof(ControlPage, session_peer),
      kRecordHeaderBytes,
      kPublishedBit,
      kMarksPerLap,
  };
  std::uint32_t hash = 2166136261U;
  for (const std::uint64_t fact : kFacts) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      hash = (hash ^ static_cast<std::uint8_t>(fact >> shift)) * 16777619U;
    }
  }
  return hash;
}
inline constexpr std::uint32_t kLayoutHash = layout_hash();

/// Bytes that a record with this payload takes in the ring, its header included.
constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) noexcept {
  return kRecordHeaderBytes + ((payload_bytes + kRecordAlign - 1) & ~(kRecordAlign - 1));
}

/// The distance between two noted record boundaries.
constexpr std::uint64_t mark_step(std::uint64_t capacity) noexcept {
  return capacity / kMarksPerLap;
}

/// The largest payload of a ring: record, the zero word behind it, replay window and one mark step fit.
constexpr std::uint64_t max_payload_bytes(std::uint64_t capacity, std::uint64_t replay_window) noexcept {
  return capacity - replay_window - mark_step(capacity) - 2 * kRecordHeaderBytes;
}

/// The largest replay window that leaves room for a payload of half the ring.
constexpr std::uint64_t max_replay_window(std::uint64_t capacity) noexcept {
  return capacity / 2 - mark_step(capacity) - 2 * kRecordHeaderBytes;
}

/// A published header word.
constexpr std::uint64_t make_header(std::uint64_t payload_bytes, Sequence sequence) noexcept {
  return (sequence << 32U) | kPublishedBit | payload_bytes;
}

/// a < b in the order of positions, also across 2^64.
constexpr bool before(Position a, Position b) noexcept {
  return static_cast<std::int64_t>(a - b) < 0;
}

/// The wake rule: moving a published position from `from` to `to` wakes who waits at `waiting`
/// iff from <= waiting < to.
constexpr bool passes(Position from, Position to, Position waiting) noexcept {
  return waiting - from < to - from;
}

/// A wait position that no move reaches before 2^63 bytes have gone through.
constexpr Position out_of_reach(Position start) noexcept {
  return start - kRecordAlign;
}

}  // namespace sluice::ring

#pragma GCC visibility pop
