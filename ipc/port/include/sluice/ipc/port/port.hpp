// A message port over shared memory: one end of a connection between two processes.
//
//   sluice::Port port = sluice::connect("orders");
//   port.post_message("hello");                                // waits while the ring is full
//   while (sluice::Message message = port.receive()) use(message.bytes());
//
// or, with handlers:
//
//   port.on_message([](std::span<const std::byte> bytes) { use(bytes); });
//   sluice::Status why = port.run();                           // on this thread; start(): on one of its own
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/ipc/port/claim.hpp"
#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/message.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/pull_port.hpp"
#include "sluice/ring/history.hpp"

namespace sluice::ipc {
class PortImpl;  // not exported
}  // namespace sluice::ipc

#pragma GCC visibility push(default)

namespace sluice {

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

/// One end of a connection. Satisfies MessagePortLike and PullPort; see there for the contract of its
/// handlers. Made by listen(), connect(), host_session(), join_session() and make_port_pair(). Payloads are
/// aligned to 8 bytes in ring memory, in a Claim, a Message and a handler.
///
/// Threads: one sending and one receiving thread at a time (a second one that has to wait ends the program
/// with a message); with start() or run(), the delivering thread is the receiving thread. close(), is_open(),
/// wait_closed(), the handlers' setters: any thread, handlers included but for wait_closed(). The port may be
/// destroyed inside its own handler, but not while another thread uses it.
///
/// When the peer has closed or died, what it had posted can still be received; then every call says closed or
/// peer_died. A child process must not use an inherited port: its calls return Status::forked and touch
/// nothing; peer(), session() and history() know of nothing.
class Port {
 public:
  /// Not connected: every call answers closed, as after a move.
  Port() noexcept : core_(&ipc::closed_core()), receiver_(core_) {}
  Port(Port&& other) noexcept : Port() { take(other); }
  Port& operator=(Port&& other) noexcept;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  /// Closes, and waits for the delivery thread, which may still call on_close. Inside a handler, and if an
  /// executor runs the handlers, no handler begins any more.
  ~Port();

  // Sending.

  /// Posts a copy of `message`, bytes or text (0 .. max_message_bytes() bytes); waits while the ring is full.
  /// ok, too_large, closed, peer_died, broken, forked, misuse while a claim is open; would_block under
  /// WaitStrategy::non_blocking.
  Status post_message(BytesOrText message) noexcept { return core_->post(message.bytes(), &kNoDeadline); }
  /// The same without waiting: would_block when the ring is full.
  Status try_post_message(BytesOrText message) noexcept { return core_->post(message.bytes(), nullptr); }
  /// The same until a deadline: timed_out.
  Status post_message_until(BytesOrText message, Deadline deadline) noexcept {
    return core_->post(message.bytes(), &deadline);
  }
  Status post_message_for(BytesOrText message, Duration timeout) noexcept {
    return post_message_until(message, deadline_in(timeout));
  }
  /// The same with `head` followed by `body` as one message.
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline) noexcept {
    return core_->post(head, body, &deadline);
  }

  /// Ring memory to write a message of up to `bytes` bytes in place. Waits, or not, like the posting calls.
  /// Until the claim has ended, the other calls that send are refused with misuse (see Claim).
  Claim claim(std::size_t bytes) noexcept { return {*core_, bytes, &kNoDeadline}; }
  Claim try_claim(std::size_t bytes) noexcept { return {*core_, bytes, nullptr}; }
  Claim claim_until(std::size_t bytes, Deadline deadline) noexcept { return {*core_, bytes, &deadline}; }
  Claim claim_for(std::size_t bytes, Duration timeout) noexcept {
    return claim_until(bytes, deadline_in(timeout));
  }

  /// Like post_message, but the message becomes visible with the next publish(), commit() or post_message():
  /// a batch costs one publication and at most one wake-up. Waiting for room publishes what was appended
  /// before.
  Status append_message(BytesOrText message) noexcept { return core_->append(message.bytes(), &kNoDeadline); }
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
  /// under WaitStrategy::non_blocking; misuse once start() or run() was called: messages go to handlers.
  Message receive() noexcept { return read(&kNoDeadline); }
  Message try_receive() noexcept { return read(nullptr); }
  Message receive_until(Deadline deadline) noexcept { return read(&deadline); }
  Message receive_for(Duration timeout) noexcept { return receive_until(deadline_in(timeout)); }

  /// Whether messages can be received by calls: neither start() nor run() was called.
  bool can_receive() const noexcept { return receiver_.load(std::memory_order_relaxed) == core_; }
  /// try_receive costs no system call.
  static constexpr bool polls_cheaply() noexcept { return true; }

  /// Goes back to an earlier message (see Message::sequence): receive gives it, and those after it, once
  /// more. Safe within the sender's replay window; overwritten: no longer in the ring; would_block: that
  /// message hasn't been received yet. Releases the present message. Thread-safety: the receiving thread;
  /// with handlers, inside the message handler: misuse elsewhere.
  Status replay_from(std::uint64_t sequence) noexcept { return core_->replay_from(sequence); }
  /// A reader of everything that the sender's ring still holds, beside the live stream; one thread per
  /// reader.
  ring::HistoryReader history() const noexcept;
  /// The same of what this side has sent, as far as its own ring still holds it. Any thread.
  ring::HistoryReader sent_history() const noexcept;

  // Receiving by handlers. In a forked child these, start() and run() throw errc::misuse.

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler);
  CloseHandler on_close(CloseHandler handler);
  /// Starts the delivery thread; messages wait while no handler is set. Throws errc::misuse under
  /// WaitStrategy::non_blocking, while a received message isn't released, and while another thread waits for
  /// one; the system's error if no thread can be made. A second call does nothing.
  void start();
  /// Calls the handlers on this thread (or has the executor call them) until the port has ended. Returns why,
  /// after on_close has been called: closed (also if a handler destroyed this), peer_died, broken. Throws
  /// errc::misuse as start() does, and if the port was started. Passes on what a handler throws and no error
  /// handler takes; then it may be called again, and goes on behind that message, which is released with the
  /// next one.
  Status run();

  // Life cycle.

  /// Waits until the port has ended and, if it was started, its last handler has returned: the reason, or
  /// timed_out. handler_failed: a handler threw, and no error handler took it. Messages of a port that wasn't
  /// started can still be received. Throws errc::misuse inside a handler.
  Status wait_closed(Deadline deadline = kNoDeadline);

  /// Ends the port: the peer gets what was posted or appended, then Status::closed; calls here return
  /// Status::closed at once.
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

 private:
  friend class ipc::PortImpl;
  explicit Port(std::shared_ptr<ipc::PortImpl> impl) noexcept;
  void take(Port& other) noexcept;
  void finish() noexcept;
  bool connected(const char* call) const;

  Message read(const Deadline* deadline) noexcept {
    ipc::PortCore& core = *receiver_.load(std::memory_order_relaxed);
    return {core, core.read(deadline)};
  }

  std::shared_ptr<ipc::PortImpl> impl_;
  ipc::PortCore* core_;  // the same object: the hot path needs only this part
  // core_, or the core that refuses once handlers get the messages. Publishes nothing: both live anyway.
  std::atomic<ipc::PortCore*> receiver_;
};

static_assert(PullPort<Port>);

}  // namespace sluice

#pragma GCC visibility pop
