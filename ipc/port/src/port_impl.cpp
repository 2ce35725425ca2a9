#include "port_impl.hpp"

#include <sys/socket.h>

#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::ipc {

PortImpl::PortImpl(Connection connection, const PortOptions& options)
    : PortImpl(std::move(connection), options, ring::ConsumerStart::of(connection.peer->view().header)) {}

PortImpl::PortImpl(Connection&& connection, const PortOptions& options, const ring::ConsumerStart& start)
    : PortCore(connection.own.view(), connection.peer->view(), options.wait, start),
      connection_(std::move(connection)),
      ring_bytes_(connection_.own.view().header.capacity),
      strategy_(options.wait.strategy),
      polls_for_next_(options.executor == nullptr),
      delivery_(*this, options.executor) {}

PortImpl::~PortImpl() = default;

void PortImpl::watch() {
  watch_ = PeerWatcher::shared()->watch(connection_.socket.get(),
                                        connection_.peer_pidfd ? connection_.peer_pidfd.get() : -1,
                                        [this] { peer_is_gone(); });
}

void PortImpl::peer_is_gone() noexcept {
  end_waits(consumer_.producer_closed() ? Status::closed : Status::peer_died);
}

void PortImpl::end_waits(Status reason) noexcept {
  producer_.gate().raise(reason);
  consumer_.gate().raise(reason);
  delivery_.notice_end();
}

void PortImpl::check_not_inherited(const char* call) const {
  if (inherited())
    throw error(errc::misuse, std::string(call) + " on a port that was inherited through fork()");
}

void PortImpl::check_may_deliver(const char* call) const {
  check_not_inherited(call);
  const auto refuse = [call](const char* why) { throw error(errc::misuse, std::string(call) + why); };
  if (strategy_ == WaitStrategy::non_blocking)
    refuse(" on a port with WaitStrategy::non_blocking: nothing waits for messages");
  if (delivery_.started()) return;
  if (receiver_waits_.load(std::memory_order_relaxed)) refuse(" on a port while a thread waits in receive()");
  if (consumer_.holds_records()) refuse(" on a port while a received message is held: release it first");
}

bool PortImpl::receives_here() const noexcept {
  return !delivery_.started() || delivery_.in_message_handler();
}

Status PortImpl::wait_closed(Deadline deadline) {
  if (inherited()) return Status::forked;
  return delivery_.wait_until_over(deadline, [this] {
    return closed_here_.load(std::memory_order_acquire) ? Status::closed : producer_.gate().final_reason();
  });
}

void PortImpl::close() noexcept {
  // Release pairs with may_receive: whoever sees the port closed sees what was done before.
  if (inherited() || closed_here_.exchange(true, std::memory_order_acq_rel)) return;
  end_waits(Status::closed);
  producer_.publish_last();
  if (!left_open_.load(std::memory_order_relaxed)) producer_.mark_closed();
  hang_up();
  delivery_.interrupt();
}

void PortImpl::abandon() noexcept {
  closed_here_.store(true, std::memory_order_release);
  end_waits(Status::closed);
  hang_up();
}

void PortImpl::finish() noexcept {
  delivery_.finish();
  if (producer_.claim_open()) kept_for_claim_ = shared_from_this();
}

void PortImpl::forget_last_claim() noexcept {
  const std::shared_ptr<PortImpl> last = std::move(kept_for_claim_);
}

void PortImpl::hang_up() noexcept {
  ::shutdown(connection_.socket.get(), SHUT_RDWR);
}

ring::HistoryReader PortImpl::history() const noexcept {
  return ring::HistoryReader(connection_.peer->view(), connection_.peer);
}

ring::HistoryReader PortImpl::sent_history() const noexcept {
  return ring::HistoryReader(connection_.own.view(), shared_from_this());
}

PeerIdentity PortImpl::peer() const noexcept {
  return connection_.identity;
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

Status PortImpl::deliver_messages(Delivery& delivery) {
  return delivery.call_handler_for_each_message(*this);
}

std::string PortImpl::failure_text() const {
  // The lock may have been held when the process was forked.
  if (inherited()) return "the port was inherited through fork()";
  const std::scoped_lock lock(failure_mutex_);
  return failure_text_;
}

void PortImpl::note_failure(std::string text) noexcept {
  const std::scoped_lock lock(failure_mutex_);
  const bool adds = text.starts_with(failure_text_);
  if (!end_noted_ || adds) failure_text_ = std::move(text);
}

void PortImpl::note_end(std::string text) noexcept {
  const std::scoped_lock lock(failure_mutex_);
  if (std::exchange(end_noted_, true)) return;
  failure_text_ = std::move(text);
}

void PortImpl::note_refused(Status status, std::uint64_t bytes) noexcept {
  const std::string message = "message of " + std::to_string(bytes) + " bytes: expected ";
  if (status == Status::misuse) {
    note_failure(message + "no other claim to be open; commit or abort that one first");
  } else {
    note_failure(message + "at most " + std::to_string(max_message_bytes()) + " for a ring of " +
                 std::to_string(ring_bytes_));
  }
}

Status PortImpl::note_broken(const ring::RingFailure& failure) noexcept {
  // Without a rule it is the other direction that has noted it.
  if (failure) note_end("the peer broke a rule of the ring: " + failure.to_string());
  end_waits(Status::broken);
  hang_up();
  return Status::broken;
}

Port make_port(Connection connection, const PortOptions& options) {
  auto impl = std::make_shared<PortImpl>(std::move(connection), options);
  impl->watch();
  return PortImpl::make_port(std::move(impl));
}

}  // namespace sluice::ipc
