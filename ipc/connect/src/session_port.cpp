#include "session_port.hpp"

#include <sys/socket.h>

#include <span>
#include <utility>

#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {

SessionPort::SessionPort(Opened opened, Plan plan, MeetingPlace place)
    : PortImpl(std::move(opened.connection), plan.options.port, opened.start),
      plan_(std::move(plan)),
      place_(std::move(place)),
      info_(opened.info),
      sending_to_(connection_.peer),
      receiving_from_(connection_.peer),
      opening_events_(std::move(opened.events)),
      connected_(opened.connected),
      reception_(place_.listener ? &*place_.listener : nullptr, rules()) {
  peer_may_change_ = true;
}

SessionPort::~SessionPort() {
  stop_thread();
}

void SessionPort::run_session() {
  try {
    for (SessionEvent& event : opening_events_) call_handler(std::move(event));
    opening_events_.clear();
    start_thread();
  } catch (...) {
    abandon();  // the peer keeps the session for the next process
    throw;
  }
}

void SessionPort::start_thread() {
  const base::SignalsBlocked blocked;
  try {
    // The thread keeps the port alive: it may be destroyed inside a handler.
    thread_ =
        std::thread([self = std::static_pointer_cast<SessionPort>(shared_from_this())] { self->run(); });
  } catch (const std::system_error& failure) {
    throw error(failure.code(), "starting a session's thread");
  }
  ::pthread_setname_np(thread_.native_handle(), "sluice-session");
}

void SessionPort::finish() noexcept {
  PortImpl::finish();
  stop_thread();
}

void SessionPort::stop_thread() noexcept {
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // it is about to end, and holds this object until then
  } else {
    thread_.join();
  }
}

void SessionPort::hang_up() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    ::shutdown(connection_.socket.get(), SHUT_RDWR);
  }
  peer_settled_.notify_all();
  place_.stop.set();
}

/// Ok, or why it isn't for this process to blame the peer: its place was given to another one meanwhile, and
/// the rings go on without it.
Status SessionPort::look_for_word() noexcept {
  const std::scoped_lock lock(mutex_);
  if (const Status ended = consumer_.gate().final_reason(); ended != Status::ok) return ended;
  Superseded word;
  const auto room = std::as_writable_bytes(std::span(&word, 1));
  const ssize_t got =
      ::recv(connection_.socket.get(), room.data(), room.size(), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  const bool replaced = got == static_cast<ssize_t>(sizeof word) && word.prefix.magic == kHandshakeMagic &&
                        word.prefix.type == HandshakeType::superseded;
  return replaced ? Status::superseded : Status::ok;
}

Status SessionPort::note_broken(const ring::RingFailure& failure) noexcept {
  const Status word = look_for_word();
  if (word == Status::ok || word == Status::broken) return PortImpl::note_broken(failure);
  end_waits(word);
  return word;
}

ring::HistoryReader SessionPort::history() const noexcept {
  const std::scoped_lock lock(mutex_);
  return PortImpl::history();
}

PeerIdentity SessionPort::peer() const noexcept {
  const std::scoped_lock lock(mutex_);
  return PortImpl::peer();
}

std::optional<SessionInfo> SessionPort::session() const noexcept {
  const std::scoped_lock lock(mutex_);
  return info_;
}

/// One end of the ring goes on with the present peer; `mapping` is what it has used so far.
template <typename End>
void SessionPort::follow_peer(End& end, std::shared_ptr<const ring::PeerRegion>& mapping) noexcept {
  std::shared_ptr<const ring::PeerRegion> previous;  // unmapped after the lock is free
  const std::scoped_lock lock(mutex_);
  if (fenced_) return;
  if (mapping != connection_.peer) {
    previous = std::exchange(mapping, connection_.peer);
    end.rebind(mapping->view());
  }
  end.gate().clear_interruption();
}

void SessionPort::follow_peer_sending() noexcept {
  follow_peer(producer_, sending_to_);
}

void SessionPort::follow_peer_receiving() noexcept {
  follow_peer(consumer_, receiving_from_);
}

Status SessionPort::wait_for_peer(Deadline deadline) noexcept {
  const auto final_reason = [this] { return producer_.gate().final_reason(); };
  const auto settled = [&] { return !fenced_ || final_reason() != Status::ok; };
  std::unique_lock lock(mutex_);
  if (plan_.options.port.wait.strategy == WaitStrategy::non_blocking && !settled())
    return Status::would_block;
  return peer_settled_.wait_until(lock, deadline, settled) ? final_reason() : Status::timed_out;
}

}  // namespace sluice::ipc
