// The writing end of a byte ring.
//
//   Producer producer(own_region.view(), peer_region.view(), wait_options);
//   std::span<std::byte> room;
//   if (producer.try_claim(64, room) == Status::ok) {   // writable ring memory
//     fill(room);
//     producer.commit(room.size());                     // or fewer bytes; nothing is visible yet
//     producer.publish();                               // all committed records at once, one wake-up at most
//   }
//
// Invariants: the records of the batch, behind the tail, are committed and invisible, since the header word
// at tail is zero. Nothing is ever written at or beyond limit, and limit - capacity <= oldest <= the first
// record boundary that is not before released - replay window: a record that lies whole in the replay window
// is never overwritten.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/detail/copy_payload.hpp"
#include "sluice/ring/detail/counter.hpp"
#include "sluice/ring/detail/publisher_barrier.hpp"
#include "sluice/ring/detail/spin_window.hpp"
#include "sluice/ring/failure.hpp"
#include "sluice/ring/layout.hpp"
#include "sluice/ring/region.hpp"
#include "sluice/ring/waiting.hpp"

#pragma GCC visibility push(default)

namespace sluice::ring {

/// Once its gate has a final reason, every call that would write returns that; in a forked child that is
/// Status::forked. Thread-safety: one thread at a time; gate(), publish_last(), mark_closed() and
/// wake_count() from any. The mappings must outlive it.
class Producer {
 public:
  Producer(const OwnView& own, const PeerView& peer, const WaitOptions& wait) noexcept;
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  /// Bytes of the largest payload.
  std::uint64_t max_payload_bytes() const noexcept { return max_payload_bytes_; }

  /// Claims room for a record of `bytes` payload behind those already committed. The claim is open until
  /// commit() or abort_claim(). Meanwhile nothing else can be claimed, appended or posted (misuse), since it
  /// would lie in the same room. would_block: no room now; too_large; broken: see failure().
  Status try_claim(std::uint64_t bytes, std::span<std::byte>& room) noexcept {
    if (const Status status = look_for_room(bytes); status != Status::ok) [[unlikely]]
      return status;
    room = {at(head()) + kRecordHeaderBytes, bytes};
    claimed_ = bytes + 1;
    post_end_ = tail_;
    cleared_ = tail_;  // who claims may write there, and commit less
    return Status::ok;
  }

  /// Ends the record of the open claim with its first `bytes` bytes. misuse: no claim is open; too_large:
  /// more than were claimed, and the claim stays open.
  Status commit(std::uint64_t bytes) noexcept {
    const BatchUse use(*this);
    if (!gate_.open()) [[unlikely]] {
      if (const Status ended = gate_.final_reason(); ended != Status::ok) return ended;
    }
    if (bytes >= claimed_) [[unlikely]]
      return claimed_ == 0 ? Status::misuse : Status::too_large;
    claimed_ = 0;
    add_to_batch(at(head()), bytes);
    return Status::ok;
  }

  /// Gives the room of the open claim back; does nothing if there is none.
  void abort_claim() noexcept {
    claimed_ = 0;
    if (batch_records_ == 0) post_end_ = limit_;
  }

  bool claim_open() const noexcept { return claimed_ != 0; }

  /// Makes all committed records visible, and wakes a consumer that waits for the first of them.
  void publish() noexcept {
    const BatchUse use(*this);
    if (batch_records_ == 0) return;
    if (!gate_.open() && gate_.final_reason() != Status::ok) [[unlikely]]
      return;
    const Position start = tail_;
    const Position end = head();
    const Sequence next = next_sequence();
    clear_behind(end);
    batch_bytes_ = 0;
    batch_records_ = 0;
    publish_records(at(start), end, next, first_header_);
    if (claimed_ != 0) {
      post_end_ = tail_;  // the claimed room is behind the batch, and nothing is cleared there
    } else {
      post_end_ = limit_;
      clear_ahead(start, end);
    }
  }

  /// publish() for whoever has raised a final reason at the gate, on any thread, once: the sending thread
  /// changes nothing any more.
  void publish_last() noexcept;

  /// Claims, copies and commits. Same outcomes as try_claim.
  Status try_append(std::span<const std::byte> message) noexcept {
    const BatchUse use(*this);
    const std::uint64_t bytes = message.size();
    const Position start = head();
    // The first comparison: there is room, and the message isn't too large for the ring.
    if (record_bytes(bytes) + kRecordHeaderBytes > limit_ - start || claimed_ != 0 || !gate_.open())
        [[unlikely]] {
      if (const Status status = look_for_room(bytes); status != Status::ok) return status;
    }
    std::byte* const record = at(start);
    add_to_batch(record, bytes);
    copy_payload(record + kRecordHeaderBytes, message);
    return Status::ok;
  }

  /// The same, and publishes: in one go if nothing else is committed.
  Status try_post(std::span<const std::byte> message) noexcept { return try_post({}, message); }

  /// The same for a message of two parts. Inlined, so that a message of one part pays for no other.
  [[gnu::always_inline]] Status try_post(std::span<const std::byte> head,
                                         std::span<const std::byte> body) noexcept {
    const std::uint64_t bytes = head.size() + body.size();
    const std::uint64_t needed = record_bytes(bytes) + kRecordHeaderBytes;
    // Read once: the compiler can't know that the stores into the ring change no member.
    const Position start = tail_;
    // The first comparison: there is room, the message isn't too large for the ring, and neither a batch nor
    // a claim is open.
    if (needed > post_end_ - start || !gate_.open()) [[unlikely]]
      return append_and_publish(head, body);
    const Sequence sequence = tail_sequence_;
    std::byte* const record = at(start);
    const Position end = start + record_bytes(bytes);
    clear_behind(end);
    copy_payload(record + kRecordHeaderBytes, head, body);
    publish_records(record, end, sequence + 1, make_header(bytes, sequence));
    clear_ahead(start, end);
    return Status::ok;
  }

  /// Takes back what was claimed or committed and not published.
  void discard() noexcept {
    const BatchUse use(*this);
    batch_bytes_ = 0;
    batch_records_ = 0;
    abort_claim();
    cleared_ = tail_;  // the records lie over it
  }

  /// Waits until a claim of `bytes` would succeed. Publishes what is committed first: the consumer can't make
  /// room for a batch that it can't see. too_large, timed_out, broken, misuse (a claim is open), would_block
  /// (strategy non_blocking), or the gate's reason (interrupted also from try_claim, if it has to ask the
  /// consumer for room).
  Status wait_for_room(std::uint64_t bytes, Deadline deadline) noexcept;

  /// Waits until the peer has released every published record. Same outcomes.
  Status wait_until_consumed(Deadline deadline) noexcept;

  /// Goes on with another consumer, whose region replaces the old one's. Its released position must not lie
  /// before what was seen of the old one's. Wakes it: what was published meanwhile looked for the old one's
  /// wait.
  void rebind(const PeerView& peer) noexcept;

  /// Tells the consumer that no record will follow the published ones. Any thread.
  void mark_closed() noexcept;

  /// End of the published records.
  Position tail() const noexcept { return tail_; }
  /// The number that the next committed record will have.
  Sequence next_sequence() const noexcept { return tail_sequence_ + batch_records_; }
  /// Ends waits from another thread.
  WaitGate& gate() noexcept { return gate_; }
  const WaitGate& gate() const noexcept { return gate_; }
  const RingFailure& failure() const noexcept { return failure_; }
  /// How often a sleeping consumer was woken.
  std::uint64_t wake_count() const noexcept { return wake_count_.value(); }

 private:
  /// A record boundary, noted so that `oldest` can move without walking the records.
  struct Mark {
    Position position;
    Sequence sequence;
  };

  /// The sending thread is about to change the batch. Whoever raises the gate and then sees nobody here has
  /// the batch for itself, since each use looks at the gate.
  class BatchUse {
   public:
    explicit BatchUse(Producer& producer) noexcept : producer_(producer) {
      // Relaxed, with the barrier: either the use sees the gate raised, or publish_last() sees the use.
      producer_.batch_in_use_.store(true, std::memory_order_relaxed);
      publisher_barrier(producer_.light_use_);  // pairs with the barrier in publish_last
    }
    BatchUse(const BatchUse&) = delete;
    BatchUse& operator=(const BatchUse&) = delete;
    // Release pairs with publish_last: the batch is complete.
    ~BatchUse() { producer_.batch_in_use_.store(false, std::memory_order_release); }

   private:
    Producer& producer_;
  };

  /// End of the committed records.
  Position head() const noexcept { return tail_ + batch_bytes_; }

  /// Whether a record of `bytes` payload can go behind those already committed.
  Status look_for_room(std::uint64_t bytes) noexcept {
    if (!gate_.open()) [[unlikely]] {
      if (const Status ended = gate_.final_reason(); ended != Status::ok) return ended;
    }
    if (bytes > max_payload_bytes_) return Status::too_large;
    if (claimed_ != 0) return Status::misuse;
    const Position needed = head() + record_bytes(bytes) + kRecordHeaderBytes;
    return before(limit_, needed) ? make_room(needed) : Status::ok;
  }

  std::byte* at(Position position) const noexcept { return data_ + (position & mask_); }
  static std::atomic_ref<std::uint64_t> word_at(std::byte* place) noexcept {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(place));
  }

  /// The word behind a batch: zero before the batch can be seen. Relaxed: the header's release orders it.
  void clear_behind(Position end) noexcept {
    if (end != cleared_) word_at(at(end)).store(0, std::memory_order_relaxed);
  }

  /// Clears the word behind the next batch if that will be as long as this one, which went from `start` to
  /// `end`: the line is fetched from the consumer while nobody waits for it.
  void clear_ahead(Position start, Position end) noexcept {
    const Position next_end = end + (end - start);
    if (before(limit_, next_end + kRecordHeaderBytes)) return;
    cleared_ = next_end;
    word_at(at(next_end)).store(0, std::memory_order_relaxed);  // as in clear_behind
  }

  /// Ends the record of `bytes` bytes at `record`, behind those already committed.
  void add_to_batch(std::byte* record, std::uint64_t bytes) noexcept {
    const std::uint64_t records = batch_records_;
    const std::uint64_t header = make_header(bytes, tail_sequence_ + records);
    batch_bytes_ += record_bytes(bytes);
    batch_records_ = records + 1;
    if (records == 0) {
      first_header_ = header;  // goes in last: it publishes the whole batch
      post_end_ = tail_;
    } else {
      // Relaxed: invisible until the first header of the batch is released.
      word_at(record).store(header, std::memory_order_relaxed);
    }
  }

  /// Publishes the records from the tail, at `first`, to `end`: all complete but for the first one's header.
  void publish_records(std::byte* first, Position end, Sequence next_sequence,
                       std::uint64_t first_header) noexcept {
    ControlPage& own = *own_;
    const ControlPage& peer = *peer_;
    const bool light_barrier = barrier_.light();
    const Position start = tail_;
    tail_ = end;
    tail_sequence_ = next_sequence;
    word_at(first).store(first_header,
                         std::memory_order_release);  // [PUBLISH] pairs with Consumer::try_read
    // Relaxed: the tail's release orders it; a reader that sees the tail sees this or a later number.
    own.tail.tail_sequence.store(next_sequence, std::memory_order_relaxed);
    own.tail.tail.store(end, std::memory_order_release);  // [TAIL] pairs with Consumer's sleep path
    barrier_.pass(light_barrier);                         // [SLEEP-C] pairs with Consumer's sleep path
    // Relaxed: the barrier orders it after the stores above.
    const Position waiting = peer.consumer_wait.wait_position.load(std::memory_order_relaxed);
    if (passes(start, end, waiting)) [[unlikely]]
      wake_consumer();
  }

  Status append_and_publish(std::span<const std::byte> head, std::span<const std::byte> body) noexcept;

  Status make_room(Position needed) noexcept;
  Status refresh_released() noexcept;
  Status wait_until_released(Position target, Deadline deadline) noexcept;
  Status sleep_until_released(Position target, Deadline deadline) noexcept;
  void note_mark(Mark mark) noexcept;
  void note_history() noexcept;
  void drop_history_before(Position position) noexcept;
  void wake_consumer() noexcept;

  // Read by every claim and publication.
  ControlPage* own_;
  const ControlPage* peer_;
  std::byte* data_;
  std::uint64_t mask_;
  std::uint64_t max_payload_bytes_;
  Position tail_;           // end of the published records
  Sequence tail_sequence_;  // number of the record that will start there
  Position limit_;          // nothing is written at or beyond this
  Position post_end_;       // limit_, or tail_ while a batch or a claim is open: no post goes past those
  Position cleared_;        // the word there is zero, if it lies behind the tail
  PublisherBarrier barrier_;

  // The batch: records that are committed and not published.
  std::uint64_t batch_bytes_ = 0;
  std::uint64_t batch_records_ = 0;
  std::uint64_t first_header_ = 0;
  std::uint64_t claimed_ = 0;  // 1 + the bytes of the open claim, or 0
  std::atomic<bool> batch_in_use_{false};
  bool light_use_;

  // Slow path.
  WaitStrategy strategy_;
  SpinWindow spin_window_;
  std::uint64_t capacity_;
  std::uint64_t kept_bytes_;  // replay window and one mark step
  std::uint32_t features_;    // our own, constant
  Position released_;         // last checked value of the peer's word
  std::array<Mark, 2 * kMarksPerLap> marks_{};
  std::uint64_t first_mark_ = 0;  // counts up; the index is modulo the array's size
  std::uint64_t end_mark_ = 0;
  Counter wake_count_;
  RingFailure failure_;
  WaitGate gate_;
};

}  // namespace sluice::ring

#pragma GCC visibility pop
