// A message port over shared memory: one end of a connection between two processes.
//
//   sluice::Port port = sluice::connect("orders");
//   port.post_message(bytes);                                  // waits while the ring is full
//   for (sluice::Message m = port.receive(); m; m = port.receive()) use(m.bytes());
//
// or, with a delivery thread:
//
//   port.on_message([](std::span<const std::byte> bytes) { use(bytes); });
//   port.start();
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ring/history.hpp"

namespace sluice {

namespace ipc {
class PortImpl;
}

/// Writable ring memory for one message: fill it, then commit. Nothing is visible before; destroying it gives
/// the room back. Valid until the next call that sends on the same port; the port must outlive it.
/// Thread-safety: the sending thread.
class [[nodiscard]] Claim {
 public:
  Claim(Claim&& other) noexcept
      : core_(other.core_), room_(std::exchange(other.room_, {})), status_(other.status_) {
    other.abort();
  }
  Claim& operator=(Claim&& other) noexcept {
    if (this != &other) {
      core_ = other.core_;
      room_ = other.room_;
      status_ = other.status_;
      other.abort();
    }
    return *this;
  }
  Claim(const Claim&) = delete;  // a copy could be committed a second time
  Claim& operator=(const Claim&) = delete;
  ~Claim() = default;

  /// ok, or why there is no room to write in.
  Status status() const noexcept { return status_; }
  explicit operator bool() const noexcept { return status_ == Status::ok; }
  std::span<std::byte> bytes() const noexcept { return room_; }

  /// Posts the first `count` bytes; too_large, and nothing is posted, if that is more than was claimed. A
  /// claim that has no room (see status()) answers with its status. Once only.
  Status commit(std::size_t count) noexcept {
    const Status status = append(count);
    if (status == Status::ok) core_->publish();
    return status;
  }
  Status commit() noexcept { return commit(room_.size()); }

  /// The same, but visible to the peer only with the next publish(), commit() or post_message().
  Status append(std::size_t count) noexcept {
    if (status_ != Status::ok) return status_;
    if (count > room_.size()) return Status::too_large;
    const Status status = core_->commit(count);
    abort();
    return status;
  }

  /// Gives the room back.
  void abort() noexcept {
    status_ = Status::would_block;
    room_ = {};
  }

 private:
  friend class Port;
  Claim(ipc::PortCore& core, std::size_t bytes, const Deadline* deadline) noexcept
      : core_(&core), status_(core.claim(bytes, room_, deadline)) {}

  ipc::PortCore* core_;
  std::span<std::byte> room_;
  Status status_;
};

/// A received message, in place in the peer's memory: released (and its bytes invalid) when this object is
/// destroyed or release()d, and at the next receive on the same port. The port must outlive it. The peer can
/// still change the bytes: copy them first if it isn't trusted. Thread-safety: the receiving thread.
class [[nodiscard]] Message {
 public:
  Message(Message&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)), record_(other.record_), status_(other.status_) {}
  Message& operator=(Message&& other) noexcept {
    if (this != &other) {
      release();
      core_ = std::exchange(other.core_, nullptr);
      record_ = other.record_;
      status_ = other.status_;
    }
    return *this;
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  // Always inlined, also where an exception passes: a call would keep every message in memory for its sake.
  [[gnu::always_inline]] ~Message() { release(); }

  /// ok, or why there is no message.
  Status status() const noexcept { return status_; }
  explicit operator bool() const noexcept { return status_ == Status::ok; }
  std::span<const std::byte> bytes() const noexcept { return record_.payload; }
  /// Counts the messages of this direction from 1.
  std::uint64_t sequence() const noexcept { return record_.sequence; }
  /// Whether this message was received before and comes again after replay_from(), or, in a resumed session,
  /// may have been received by the process before.
  bool replayed() const noexcept { return core_ != nullptr && core_->replayed(record_.sequence); }

  /// The peer may overwrite the bytes from now on.
  [[gnu::always_inline]] void release() noexcept {
    if (auto* core = std::exchange(core_, nullptr)) core->release(record_.sequence);
  }

 private:
  friend class Port;
  Message(ipc::PortCore& core, const ipc::ReadResult& read) noexcept
      : core_(read.status == Status::ok ? &core : nullptr), record_(read.record), status_(read.status) {}

  ipc::PortCore* core_;
  ring::Record record_;
  Status status_;
};

/// Counts of one port's kernel calls; reading them while the port is in use gives approximate values.
struct PortStatistics {
  std::uint64_t sleeps = 0;             ///< times the receiving thread slept in the kernel
  std::uint64_t wakes_of_consumer = 0;  ///< times a publication here woke the peer's receiving thread
  std::uint64_t wakes_of_producer = 0;  ///< times a release here woke the peer's sending thread
};

/// Who is at the other end, by the kernel's word at the time of the connection.
struct PeerIdentity {
  std::int64_t pid = 0;  ///< in this process's PID namespace; 0 if it has none there
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// Which session a port belongs to, and how often its two sides have found each other.
struct SessionInfo {
  ring::SessionId id{};
  std::uint64_t epoch = 0;  ///< 1 with the first connection; grows by one with each later one
};

/// One end of a connection. Satisfies MessagePortLike; see there for the contract of its handlers.
///
/// Threads: one sending and one receiving thread at a time (checked in debug builds); with start(), the
/// delivery thread is the receiving thread. close(), is_open(), the handlers' setters: any thread, handlers
/// included. The port may be destroyed inside its own handler, but not while another thread uses it.
///
/// When the peer has closed or died, what it had posted can still be received; then every call says closed or
/// peer_died. A child process must not use an inherited port: its calls return Status::forked and touch
/// nothing.
class Port {
 public:
  Port(Port&&) noexcept = default;
  Port& operator=(Port&& other) noexcept;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  /// Closes, and waits for the delivery thread, which may still call on_close. Inside a handler, and where an
  /// executor runs the handlers, no handler begins any more.
  ~Port();

  // Sending.

  /// Posts a copy of `message` (0 .. max_message_bytes() bytes); waits while the ring is full. ok, too_large,
  /// closed, peer_died, broken, forked; would_block under WaitStrategy::non_blocking.
  Status post_message(std::span<const std::byte> message) noexcept {
    return core_->post(message, &kNoDeadline);
  }
  /// The same without waiting: would_block when the ring is full.
  Status try_post_message(std::span<const std::byte> message) noexcept {
    return core_->post(message, nullptr);
  }
  /// The same until a deadline: timed_out.
  Status post_message_until(std::span<const std::byte> message, Deadline deadline) noexcept {
    return core_->post(message, &deadline);
  }
  Status post_message_for(std::span<const std::byte> message, std::chrono::nanoseconds timeout) noexcept {
    return post_message_until(message, deadline_in(timeout));
  }
  /// The same with `head` followed by `body` as one message.
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline) noexcept {
    return core_->post(head, body, &deadline);
  }

  /// Ring memory to write a message of up to `bytes` bytes in place. Waits, or not, like the posting calls.
  Claim claim(std::size_t bytes) noexcept { return {*core_, bytes, &kNoDeadline}; }
  Claim try_claim(std::size_t bytes) noexcept { return {*core_, bytes, nullptr}; }
  Claim claim_until(std::size_t bytes, Deadline deadline) noexcept { return {*core_, bytes, &deadline}; }
  Claim claim_for(std::size_t bytes, std::chrono::nanoseconds timeout) noexcept {
    return claim_until(bytes, deadline_in(timeout));
  }

  /// Like post_message, but the message becomes visible with the next publish(), commit() or post_message():
  /// a batch costs one publication and at most one wake-up. Waiting for room publishes what was appended
  /// before.
  Status append_message(std::span<const std::byte> message) noexcept {
    return core_->append(message, &kNoDeadline);
  }
  void publish() noexcept { core_->publish(); }

  /// Waits until the peer has released every message posted so far.
  Status wait_until_consumed(Deadline deadline = kNoDeadline) noexcept {
    return core_->wait_until_consumed(deadline);
  }

  /// The number that the next message posted here gets (see Message::sequence); in a session that was
  /// resumed, everything before it was posted by the process before. Thread-safety: the sending thread.
  std::uint64_t next_sequence() const noexcept { return core_->next_sequence(); }

  /// The largest message that this port can post.
  std::uint64_t max_message_bytes() const noexcept { return core_->max_message_bytes(); }

  // Receiving by calls.

  /// The next message, in place; waits for it. Releases the message received before. closed, peer_died:
  /// everything that the peer had posted has been received; broken: see failure_text(); forked; would_block
  /// under WaitStrategy::non_blocking.
  Message receive() noexcept { return {*core_, core_->read(&kNoDeadline)}; }
  Message try_receive() noexcept { return {*core_, core_->read(nullptr)}; }
  Message receive_until(Deadline deadline) noexcept { return {*core_, core_->read(&deadline)}; }
  Message receive_for(std::chrono::nanoseconds timeout) noexcept {
    return receive_until(deadline_in(timeout));
  }

  /// Goes back to an earlier message (see Message::sequence): receive gives it, and those after it, once
  /// more. Safe within the sender's replay window; overwritten: no longer in the ring; would_block: that
  /// message hasn't been received yet. Releases the present message. Thread-safety: the receiving thread; with
  /// start(), inside the message handler.
  Status replay_from(std::uint64_t sequence) noexcept { return core_->replay_from(sequence); }
  /// A reader of everything that the sender's ring still holds, beside the live stream; one thread per
  /// reader.
  ring::HistoryReader history() const noexcept;

  // Receiving by handlers. In a forked child these, and start(), throw errc::misuse.

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler);
  CloseHandler on_close(CloseHandler handler);
  /// Starts the delivery thread; messages wait while no handler is set. Throws errc::misuse under
  /// WaitStrategy::non_blocking, and the system's error if no thread can be made. A second call does nothing.
  void start();
  /// Whether start() has made the delivery thread: then messages can't be received by calls.
  bool is_started() const noexcept;

  // Life cycle.

  /// Ends the port: the peer gets what was posted, then Status::closed; calls here return Status::closed at
  /// once.
  void close() noexcept;
  /// Whether messages can still be posted: neither side has closed, died or broken the port.
  bool is_open() const noexcept;
  /// Which rule the peer broke, or what was wrong with the last refused message, in words; empty if nothing
  /// was.
  std::string failure_text() const;

  PeerIdentity peer() const noexcept;
  /// The session that this port belongs to, if it can be resumed (see session.hpp).
  std::optional<SessionInfo> session() const noexcept;
  PortStatistics statistics() const noexcept;

  /// For the library's own factories.
  explicit Port(std::shared_ptr<ipc::PortImpl> impl) noexcept;

 private:
  void finish() noexcept;

  std::shared_ptr<ipc::PortImpl> impl_;
  ipc::PortCore* core_;  // the same object: the hot path needs only this part
};

static_assert(MessagePortLike<Port>);

}  // namespace sluice
