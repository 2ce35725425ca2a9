// The reading end of a byte ring.
//
//   Consumer consumer(own_region.view(), peer_region.view(), wait_options);
//   Record record;
//   while (consumer.try_read(record) == Status::ok) {
//     use(record.payload);      // in place, in the peer's memory
//     consumer.release();       // the producer may overwrite it
//   }
//
// Invariant: released <= read position; every header is read once, checked, and only then used, so that
// whatever the peer writes, no access leaves the mapping.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sluice/ring/detail/counter.hpp"
#include "sluice/ring/detail/publisher_barrier.hpp"
#include "sluice/ring/detail/spin_window.hpp"
#include "sluice/ring/failure.hpp"
#include "sluice/ring/history.hpp"
#include "sluice/ring/layout.hpp"
#include "sluice/ring/region.hpp"
#include "sluice/ring/waiting.hpp"

#pragma GCC visibility push(default)

namespace sluice::ring {

/// A record in place. The bytes are the peer's: a hostile peer can change them while they are read.
struct Record {
  std::span<const std::byte> payload;
  Sequence sequence = 0;
};

/// Where a consumer begins.
struct ConsumerStart {
  RecordPlace next;         ///< the first record to read
  Position released = 0;    ///< everything before was released
  Sequence replay_end = 0;  ///< records with smaller numbers may have been read before

  /// The beginning of a new ring.
  static ConsumerStart of(const RegionHeader& ring) noexcept {
    return {{ring.first_position, ring.first_sequence}, ring.first_position, ring.first_sequence};
  }
};

/// Thread-safety: one thread at a time; gate() and the counts from any. In a forked child every call answers
/// Status::forked and writes nothing. The mappings must outlive it.
class Consumer {
 public:
  Consumer(const OwnView& own, const PeerView& peer, const WaitOptions& wait) noexcept
      : Consumer(own, peer, wait, ConsumerStart::of(peer.header)) {}
  Consumer(const OwnView& own, const PeerView& peer, const WaitOptions& wait,
           const ConsumerStart& start) noexcept;
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  /// The next record, which stays readable until release(). Several may be read before one release.
  /// would_block: nothing there; broken: see failure().
  Status try_read(Record& record) noexcept {
    return gate_.forked() ? Status::forked : try_read_before_gate(record);
  }

  /// The same for whoever looks at the gate afterwards.
  Status try_read_before_gate(Record& record) noexcept {
    const std::byte* const start = at(read_);
    const Sequence sequence = sequence_;
    // [PUBLISH] pairs with Producer::publish. Read once: the peer may change it at any time.
    const std::uint64_t header = word_at(start).load(std::memory_order_acquire);
    // One comparison checks the published bit, the zero bit and the sequence, which sit above the length's 30
    // bits; the zero word of a record that isn't there yet fails it, too.
    const std::uint64_t bytes = header ^ make_header(0, sequence);
    if (bytes > max_payload_bytes_) [[unlikely]]
      return header == 0 ? Status::would_block : refuse_header(header);
    record = {{start + kRecordHeaderBytes, bytes}, sequence};
    read_ += record_bytes(bytes);
    sequence_ = sequence + 1;
    return Status::ok;
  }

  /// Puts the record that was read last back: the next try_read gives it again.
  void unread(const Record& record) noexcept {
    read_ -= record_bytes(record.payload.size());
    --sequence_;
  }

  /// Whether records were read that are not released.
  bool holds_records() const noexcept { return before(released_, read_); }

  /// Gives every record read so far back to the producer, and wakes it if it waits for that room.
  [[gnu::always_inline]] void release() noexcept {
    const Position from = released_;
    const Position to = read_;
    if (gate_.forked()) [[unlikely]]
      return;
    if (!holds_records()) return;  // nothing new, or on the way through a replay
    const ControlPage& peer = *peer_;
    const bool light_barrier = barrier_.light();
    released_ = to;
    own_->release.released.store(to, std::memory_order_release);  // [RELEASE] pairs with refresh_released
    barrier_.pass(light_barrier);                                 // [SLEEP-P] pairs with the producer's sleep
    // Relaxed: the barrier orders it after the store above.
    const Position waiting = peer.producer_wait.wait_position.load(std::memory_order_relaxed);
    if (passes(from, to, waiting)) [[unlikely]]
      wake_producer();
  }

  /// Goes back to an earlier record: try_read gives it, and those after it, once more. Records that were
  /// released must lie whole in the replay window, so that they stay intact until something new is released.
  /// overwritten, would_block (a number that was never read), broken.
  Status rewind(Sequence sequence) noexcept;

  /// Waits until try_read would find a record. timed_out, broken, would_block (strategy non_blocking), or the
  /// gate's reason once nothing is left to read.
  Status wait_for_record(Deadline deadline) noexcept;

  /// Goes on with another producer, whose region holds the same records at the same positions. Wakes it: what
  /// was released meanwhile looked for the old one's wait. Records read before are no longer valid.
  void rebind(const PeerView& peer) noexcept;

  /// Polls for a record as wait_for_record does before it sleeps, but for a bounded time if that polls
  /// without end. Whether try_read would find one.
  bool poll_for_record() noexcept;

  /// Whether try_read would find a record, or something to refuse.
  bool record_ready() const noexcept {
    return word_at(at(read_)).load(std::memory_order_acquire) != 0;  // [PUBLISH]
  }

  /// Whether the producer said that no record follows. Meaningful once its process is gone or its socket has
  /// ended.
  bool producer_closed() const noexcept {
    return peer_->producer_wait.closed.load(std::memory_order_acquire) !=
           0;  // [CLOSE] pairs with mark_closed
  }

  /// Whether what try_read gave last is still there. A producer overwrites it before it is released only for
  /// another consumer, which has taken the place of this one.
  bool intact(const Record& record) const noexcept {
    acquire_barrier();  // [OLDEST] what was read before is compared with an oldest read after
    // Relaxed: as for readers of history.
    const Position oldest = peer_->history.oldest.load(std::memory_order_relaxed);
    return !before(read_ - record_bytes(record.payload.size()), oldest);
  }

  /// Records with smaller numbers were read before the last rewind.
  Sequence replay_end() const noexcept { return replay_end_; }

  Position released() const noexcept { return released_; }
  /// The number of the record that try_read will give next.
  Sequence next_sequence() const noexcept { return sequence_; }
  /// Ends waits from another thread.
  WaitGate& gate() noexcept { return gate_; }
  const WaitGate& gate() const noexcept { return gate_; }
  const RingFailure& failure() const noexcept { return failure_; }
  /// How often this consumer went to sleep in the kernel, and how often it woke a sleeping producer.
  std::uint64_t sleep_count() const noexcept { return sleep_count_.value(); }
  std::uint64_t wake_count() const noexcept { return wake_count_.value(); }

 private:
  const std::byte* at(Position position) const noexcept { return data_ + (position & mask_); }
  static std::atomic_ref<std::uint64_t> word_at(const std::byte* place) noexcept {
    // atomic_ref takes no const type in C++20; only load() is called, which writes nothing.
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(place)));
  }

  Status refuse_header(std::uint64_t header) noexcept;
  template <typename Poll>
  Status poll(Poll poll_until) noexcept;
  Status poll_before_sleep(Deadline deadline) noexcept;
  Status sleep_until_record(Deadline deadline) noexcept;
  void wake_producer() noexcept;

  // Read by every call.
  ControlPage* own_;
  const ControlPage* peer_;
  const std::byte* data_;
  std::uint64_t mask_;
  std::uint64_t max_payload_bytes_;
  Position read_;      // start of the next record
  Position released_;  // what our own region says
  Sequence sequence_;  // number of the next record
  PublisherBarrier barrier_;

  // Slow path.
  PeerView view_;
  std::uint32_t features_;  // our own, constant
  Sequence replay_end_;     // the first record that had not been read when rewind was called last
  WaitStrategy strategy_;
  SpinWindow spin_window_;
  bool has_polled_ = false;  // poll_for_record did, in vain, for the wait that comes
  Position seen_tail_;       // last checked value of the peer's tail
  RecordPlace waited_;       // where the last wait began: tells streaming from ping-pong, small from large
  Counter sleep_count_;
  Counter wake_count_;
  RingFailure failure_;
  WaitGate gate_;
};

}  // namespace sluice::ring

#pragma GCC visibility pop
