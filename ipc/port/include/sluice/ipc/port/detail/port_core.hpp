// The part of a port that its hot path touches: the two ring ends and what is checked before each use of
// them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sluice/ring/consumer.hpp"
#include "sluice/ring/history.hpp"
#include "sluice/ring/producer.hpp"

#pragma GCC visibility push(default)

namespace sluice::ipc {

/// Lasts as long as a thread waits in one direction of a port, which is for one thread at a time: ends the
/// program, with `rule` for a message, if another one waits there already. Only a thread that has to wait
/// anyway looks, so that the check costs the others nothing.
class OnlyWaiter {
 public:
  OnlyWaiter(std::atomic<bool>& waits, const char* rule) noexcept;
  OnlyWaiter(const OnlyWaiter&) = delete;
  OnlyWaiter& operator=(const OnlyWaiter&) = delete;
  ~OnlyWaiter() { waits_.store(false, std::memory_order_relaxed); }

 private:
  std::atomic<bool>& waits_;  // publishes nothing
};

/// A record and whether there is one.
struct ReadResult {
  Status status;
  ring::Record record;
};

/// Threads: claim, commit, publish: the sending thread; read, release: the receiving thread; the rest any.
class PortCore {
 public:
  PortCore(const ring::OwnView& own, const ring::PeerView& peer, const WaitOptions& wait,
           const ring::ConsumerStart& start) noexcept
      : producer_(own, peer, wait), consumer_(own, peer, wait, start) {}
  PortCore(const PortCore&) = delete;
  PortCore& operator=(const PortCore&) = delete;

  /// Claims room; waits for it until `*deadline`, not at all if that is null.
  Status claim(std::size_t bytes, std::span<std::byte>& room, const Deadline* deadline) noexcept {
    const Status status = producer_.try_claim(bytes, room);
    if (status != Status::ok) [[unlikely]]
      return claim_slowly(status, bytes, room, deadline);
    return Status::ok;
  }

  /// Ends the claimed record with its first `bytes` bytes; visible with the next publish(). ok, too_large, or
  /// why the port has ended.
  Status commit(std::size_t bytes) noexcept { return producer_.commit(bytes); }

  void abort_claim() noexcept {
    producer_.abort_claim();
    if (!producer_.gate().open()) [[unlikely]]
      forget_last_claim();
  }

  void publish() noexcept {
    producer_.publish();
    // After the publication: it may have looked for the wait of a peer that has been replaced.
    if (producer_.gate().interrupted()) [[unlikely]]
      follow_peer_sending();
  }

  Status append(std::span<const std::byte> message, const Deadline* deadline) noexcept {
    const Status status = producer_.try_append(message);
    if (status != Status::ok) [[unlikely]]
      return append_slowly(status, {}, message, deadline);
    return Status::ok;
  }

  Status post(std::span<const std::byte> message, const Deadline* deadline) noexcept {
    return post({}, message, deadline);
  }

  /// Two parts of one message. Inlined, so that a message of one part pays for no other.
  [[gnu::always_inline]] Status post(std::span<const std::byte> head, std::span<const std::byte> body,
                                     const Deadline* deadline) noexcept {
    Status status = producer_.try_post(head, body);
    if (status != Status::ok) [[unlikely]] {
      status = append_slowly(status, head, body, deadline);
      if (status == Status::ok) producer_.publish();
    }
    // As in publish().
    if (producer_.gate().interrupted()) [[unlikely]]
      follow_peer_sending();
    return status;
  }

  /// Releases what was read before, and reads the next record, waiting until `*deadline` as above.
  ReadResult read(const Deadline* deadline) noexcept {
    if (consumer_.holds_records()) [[unlikely]]
      release_unreleased();
    // The record never goes through memory: its payload's address would wait there for the header's line, and
    // so would the fetching of the payload's lines, which now happens at the same time.
    ring::Record record;
    Status status = consumer_.try_read_before_gate(record);
    // The gate after the record: what a peer writes that is being replaced isn't believed. [FENCE]
    while (status != Status::ok || !consumer_.gate().open()) [[unlikely]] {
        if (status == Status::ok) consumer_.unread(record);
        status = wait_to_read(status, deadline);
        if (status != Status::ok) return {status, {}};
        status = consumer_.try_read_before_gate(record);
        // What was there before the peer's end can be read after it.
        if (status == Status::ok && !consumer_.gate().interrupted()) break;
      }
    return {Status::ok, record};
  }

  /// Releases the record with this number if it is the one read last.
  [[gnu::always_inline]] void release(ring::Sequence sequence) noexcept {
    if (consumer_.next_sequence() == sequence + 1) [[likely]]
      release_all();
  }

  /// The same for a message that goes without a word of whoever received it. In a session not while an
  /// exception passes: it may be what ended the handling.
  [[gnu::always_inline]] void drop(ring::Sequence sequence) noexcept {
    if (!peer_may_change_) [[likely]] {
      release(sequence);
    } else {
      drop_in_session(sequence);
    }
  }

  Status wait_until_consumed(Deadline deadline) noexcept;

  Status replay_from(ring::Sequence sequence) noexcept;
  bool intact(const ring::Record& record) const noexcept { return consumer_.intact(record); }
  bool replayed(ring::Sequence sequence) const noexcept {
    return ring::before(sequence, consumer_.replay_end());
  }

  std::uint64_t max_message_bytes() const noexcept { return producer_.max_payload_bytes(); }
  ring::Sequence next_sequence() const noexcept { return producer_.next_sequence(); }

 protected:
  ~PortCore() = default;

  // For ports whose peer can be replaced (see SessionPort). Others are never interrupted, nor these called.

  /// Goes on with the present peer, and ends the interruption; does nothing while a new one is being joined.
  virtual void follow_peer_sending() noexcept {}
  virtual void follow_peer_receiving() noexcept {}
  /// Waits until no new peer is being joined: ok; timed_out; or why the port has ended.
  virtual Status wait_for_peer(Deadline /*deadline*/) noexcept { return Status::ok; }

  /// The peer broke a rule of the ring, if it is still the peer: remembers that in words, and ends the port.
  /// What the caller is told.
  virtual Status note_broken(const ring::RingFailure& failure) noexcept = 0;
  /// A message was refused, too_large or misuse: remembers that in words.
  virtual void note_refused(Status status, std::uint64_t bytes) noexcept = 0;
  /// The claim that outlived its port has ended: nothing holds this any more.
  virtual void forget_last_claim() noexcept {}
  /// Whether the calling thread may decide what is received next: nothing is delivered, or this is a handler.
  virtual bool receives_here() const noexcept { return true; }

  /// Also if the port was closed here: the peer may have the room.
  [[gnu::always_inline]] void release_all() noexcept {
    consumer_.release();
    // After the release, as in publish().
    if (peer_may_change_ && consumer_.gate().interrupted()) [[unlikely]]
      follow_peer_receiving();
  }
  void drop_in_session(ring::Sequence sequence) noexcept;

  /// True in a forked child.
  bool inherited() const noexcept { return producer_.gate().forked(); }

  Status may_receive() const noexcept {
    if (inherited()) return Status::forked;
    if (never_connected_) return consumer_.gate().final_reason();
    // Acquire pairs with the release in PortImpl::close; nothing else rests on it.
    return closed_here_.load(std::memory_order_acquire) ? Status::closed : Status::ok;
  }

  /// release_all(), for messages that are kept until the next one is read.
  void release_unreleased() noexcept;
  Status claim_slowly(Status status, std::size_t bytes, std::span<std::byte>& room,
                      const Deadline* deadline) noexcept;
  Status claim_after_interruption(std::size_t bytes, std::span<std::byte>& room,
                                  const Deadline* deadline) noexcept;
  Status append_slowly(Status status, std::span<const std::byte> head, std::span<const std::byte> body,
                       const Deadline* deadline) noexcept;
  Status wait_to_read(Status why, const Deadline* deadline) noexcept;
  Status receive_from_present_peer(const Deadline* deadline) noexcept;

  // The two ends are used by two threads: a line pair of its own for each.
  alignas(ring::kLineBytes) ring::Producer producer_;
  std::atomic<bool> sender_waits_{false};  // see OnlyWaiter
  alignas(ring::kLineBytes) ring::Consumer consumer_;
  std::atomic<bool> receiver_waits_{false};  // see OnlyWaiter
  bool peer_may_change_ = false;             // constant after construction: a session's
  // Read by both, written once: when close() is called here.
  alignas(ring::kLineBytes) std::atomic<bool> closed_here_{false};
  bool never_connected_ = false;  // constant after construction
};

// What the calls of a port reach if it isn't connected, or if its messages go to handlers. They have ended
// from the beginning and write nothing, so that any number of threads may share them.

/// Every call says closed.
PortCore& closed_core() noexcept;
/// Every call says misuse: nothing is received by calls once handlers get the messages.
PortCore& delivering_core() noexcept;
/// A reader that finds nothing.
ring::HistoryReader closed_history() noexcept;

}  // namespace sluice::ipc

#pragma GCC visibility pop
