#include "port_impl.hpp"

#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::ipc {

void PortCore::release_unreleased() noexcept {
  release_all();
}

Status PortCore::claim_slowly(Status status, std::size_t bytes, std::span<std::byte>& room,
                              const Deadline* deadline) noexcept {
  while (status == Status::interrupted || (status == Status::would_block && deadline != nullptr)) {
    if (status == Status::interrupted) {
      status = claim_after_interruption(bytes, room, deadline);
    } else {
      status = producer_.wait_for_room(bytes, *deadline);
      if (status == Status::would_block) break;  // the strategy doesn't wait
      if (status == Status::ok) status = producer_.try_claim(bytes, room);
    }
  }
  if (status == Status::broken) note_broken(producer_.failure());
  if (status == Status::too_large) note_too_large(bytes);
  return status;
}

/// Posting goes on while the peer is being replaced, as long as no word of the peer is needed for it.
Status PortCore::claim_after_interruption(std::size_t bytes, std::span<std::byte>& room,
                                          const Deadline* deadline) noexcept {
  follow_peer_sending();
  if (const Status ended = producer_.gate().final_reason(); ended != Status::ok) return ended;
  const Status status = producer_.try_claim(bytes, room);
  if (status != Status::interrupted) return status;
  if (deadline == nullptr) return Status::would_block;
  const Status waited = wait_for_peer(*deadline);
  return waited == Status::ok ? Status::interrupted : waited;
}

Status PortCore::append_slowly(Status status, std::span<const std::byte> head,
                               std::span<const std::byte> body, const Deadline* deadline) noexcept {
  const std::size_t bytes = head.size() + body.size();
  std::span<std::byte> room;
  status = claim_slowly(status, bytes, room, deadline);
  if (status != Status::ok) return status;
  ring::copy_payload(room.data(), head, body);
  producer_.commit(bytes);
  return Status::ok;
}

/// After a try_read that ended with `why`, or whose record was put back: ok if it shall be repeated.
Status PortCore::wait_to_read(Status why, const Deadline* deadline) noexcept {
  if (const Status may = may_receive(); may != Status::ok) return may;
  Status status = why;
  if (consumer_.gate().interrupted()) {
    status = receive_from_present_peer(deadline);
  } else if (why == Status::would_block && deadline != nullptr) {
    status = consumer_.wait_for_record(*deadline);
    if (status == Status::interrupted) status = Status::ok;
  } else if (why == Status::would_block) {
    const Status reason = consumer_.gate().reason();
    // The gate was closed after the peer's last publication: look once more.
    if (reason != Status::ok)
      status = consumer_.record_ready() || reason == Status::interrupted ? Status::ok : reason;
  }
  if (status == Status::broken) note_broken(consumer_.failure());
  return status == Status::ok && closed_here_.load(std::memory_order_acquire) ? Status::closed : status;
}

/// While a new peer is being joined, nothing is read; there is nothing without a deadline then.
Status PortCore::receive_from_present_peer(const Deadline* deadline) noexcept {
  follow_peer_receiving();
  if (!consumer_.gate().interrupted()) return Status::ok;
  return deadline != nullptr ? wait_for_peer(*deadline) : Status::would_block;
}

Status PortCore::replay_from(ring::Sequence sequence) noexcept {
  const OneThreadRule::Scope scope(receiving_rule_);
  const Status may = may_receive();
  if (may != Status::ok) return may;
  consumer_.release();
  const Status status = consumer_.rewind(sequence);
  if (status == Status::broken) note_broken(consumer_.failure());
  return status;
}

Status PortCore::wait_until_consumed(Deadline deadline) noexcept {
  const OneThreadRule::Scope scope(sending_rule_);
  if (inherited()) return Status::forked;
  // Even where the port has ended: everything may have been consumed before.
  Status status = producer_.wait_until_consumed(deadline);
  while (status == Status::interrupted) {
    follow_peer_sending();
    status = producer_.gate().interrupted() ? wait_for_peer(deadline) : Status::ok;
    if (status == Status::ok) status = producer_.wait_until_consumed(deadline);
  }
  if (status == Status::broken) note_broken(producer_.failure());
  return status;
}

PortImpl::PortImpl(Connection connection, const PortOptions& options)
    : PortImpl(std::move(connection), options, ring::ConsumerStart::of(connection.peer->view().header)) {}

PortImpl::PortImpl(Connection&& connection, const PortOptions& options, const ring::ConsumerStart& start)
    : PortCore(connection.own.view(), connection.peer->view(), options.wait, start),
      connection_(std::move(connection)),
      ring_bytes_(connection_.own.view().header.capacity),
      strategy_(options.wait.strategy),
      has_executor_(options.executor != nullptr),
      delivery_(options.executor) {}

PortImpl::~PortImpl() = default;

void PortImpl::watch() {
  watch_ = PeerWatcher::shared()->watch(connection_.socket.fd(),
                                        connection_.peer_pidfd ? connection_.peer_pidfd.get() : -1,
                                        [this] { peer_is_gone(); });
}

void PortImpl::peer_is_gone() noexcept {
  end_waits(consumer_.producer_closed() ? Status::closed : Status::peer_died);
}

void PortImpl::end_waits(Status reason) noexcept {
  producer_.gate().raise(reason);
  consumer_.gate().raise(reason);
}

void PortImpl::check_not_inherited(const char* call) const {
  if (inherited())
    throw error(errc::misuse, std::string(call) + " on a port that was inherited through fork()");
}

void PortImpl::start() {
  check_not_inherited("start()");
  if (strategy_ == WaitStrategy::non_blocking) {
    throw error(errc::misuse,
                "start() on a port with WaitStrategy::non_blocking: nothing waits for messages");
  }
  delivery_.start(shared_from_this());
}

void PortImpl::close() noexcept {
  // Release pairs with may_receive: whoever sees the port closed sees what was done before.
  if (inherited() || closed_here_.exchange(true, std::memory_order_acq_rel)) return;
  producer_.mark_closed();
  end_waits(Status::closed);
  hang_up();
  delivery_.interrupt();
}

void PortImpl::hang_up() noexcept {
  connection_.socket.shut_down();
}

ring::HistoryReader PortImpl::history() const noexcept {
  return ring::HistoryReader(connection_.peer->view(), connection_.peer);
}

PeerIdentity PortImpl::peer() const noexcept {
  return {connection_.credentials.pid, connection_.credentials.uid, connection_.credentials.gid};
}

PortStatistics PortImpl::statistics() const noexcept {
  return {consumer_.sleep_count(), producer_.wake_count(), consumer_.wake_count()};
}

Status PortImpl::wait_for_message() noexcept {
  Status status = Status::ok;
  do {
    status = wait_to_read(Status::would_block, &kNoDeadline);
  } while (status == Status::ok && !consumer_.record_ready());
  return status;
}

Status PortImpl::drain(HandlerSlot<MessageHandler>& handler) {
  Status status = Status::ok;
  handler.call_repeatedly([&](MessageHandler& function) {
    ReadResult message = read(nullptr);
    // The next message of a conversation comes soon: polling for it here saves the way out of the handler's
    // slot and in again. Not on somebody else's thread.
    if (message.status == Status::would_block && !has_executor_ && consumer_.poll_for_record()) {
      message = read(nullptr);
    }
    status = message.status;
    if (status != Status::ok) return false;
    function(message.record.payload);
    release(message.record.sequence);
    return true;
  });
  return status == Status::would_block ? Status::ok : status;
}

std::string PortImpl::failure_text() const {
  // The lock may have been held when the process was forked.
  if (inherited()) return "the port was inherited through fork()";
  const std::scoped_lock lock(failure_mutex_);
  return failure_text_;
}

void PortImpl::set_failure_text(std::string text) noexcept {
  const std::scoped_lock lock(failure_mutex_);
  failure_text_ = std::move(text);
}

void PortImpl::note_too_large(std::uint64_t bytes) noexcept {
  set_failure_text("message of " + std::to_string(bytes) + " bytes: expected at most " +
                   std::to_string(max_message_bytes()) + " for a ring of " + std::to_string(ring_bytes_));
}

void PortImpl::note_broken(const ring::RingFailure& failure) noexcept {
  set_failure_text("the peer broke a rule of the ring: " + failure.to_string());
  end_waits(Status::broken);
  hang_up();
}

}  // namespace sluice::ipc
