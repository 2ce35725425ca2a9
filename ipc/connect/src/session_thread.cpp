// The session's own thread: notices the peer's end, and brings the next one in.
#include <poll.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "session_port.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {
namespace {

using std::chrono::steady_clock;

/// Between two looks for a host, at most.
constexpr std::chrono::milliseconds kLongestPause{20};

}  // namespace

void SessionPort::run() noexcept {
  try {
    if (!connected_) peer_ended();
    while (!ended_ && !stopped()) step();
  } catch (const std::exception& failure) {
    set_failure_text(std::string("the session's thread failed: ") + failure.what());
    if (!ended_) end(Status::broken, failure.what());
  }
  if (!ended_) tell_closed_here();
  // Nobody goes on from here: a file of our own would only be taken for a session that can.
  const Status reason = consumer_.gate().final_reason();
  if (reason == Status::closed || reason == Status::peer_died) connection_.own.remove_file();
  place_.listener.reset();
  candidate_.reset();
}

void SessionPort::tell_closed_here() {
  const Status reason = consumer_.gate().final_reason();
  tell({.state = SessionState::closed,
        .reason = reason,
        .text = reason == Status::broken ? failure_text() : "closed here"});
}

void SessionPort::step() {
  wait_for_something();
  if (stopped()) return;
  try {
    if (connected_) look_at_peer();
    if (!ended_ && candidate_) advance_candidate();
    if (!ended_ && !candidate_) look_for_candidate();
  } catch (const error& why) {
    drop_candidate(why);
  }
  if (!ended_ && !connected_ && !candidate_ && steady_clock::now() >= keep_until_)
    end(Status::peer_died, "nobody came back within the resume window");
}

bool SessionPort::stopped() const noexcept {
  return base::is_readable(stop_.get());
}

void SessionPort::wait_for_something() {
  std::array<pollfd, 4> polled;
  std::size_t count = 0;
  Deadline deadline = kNoDeadline;
  polled.at(count++) = {stop_.get(), POLLIN, 0};
  if (connected_) {
    polled.at(count++) = {connection_.socket.fd(), POLLIN | POLLRDHUP, 0};
    if (connection_.peer_pidfd) polled.at(count++) = {connection_.peer_pidfd.get(), POLLIN, 0};
  } else {
    deadline = keep_until_;
  }
  if (candidate_) {
    deadline = std::min(deadline, candidate_->deadline);
    // One that waits for vacancy has nothing to say; its hang-up is noticed when it gets the offer.
    if (candidate_->stage != Candidate::Stage::waits_for_vacancy)
      polled.at(count++) = {candidate_->socket.fd(), POLLIN, 0};
  } else if (place_.listener && steady_clock::now() >= look_again_at_) {
    polled.at(count++) = {place_.listener->fd(), POLLIN, 0};
  } else if (place_.listener || !connected_) {
    deadline = std::min(deadline, look_again_at_);
  }
  base::wait_for_any_event(std::span(polled).first(count), deadline);
}

// The present peer.

void SessionPort::look_at_peer() {
  const bool hung_up = peer_hung_up();  // first: what the peer was told by the keeper before it outlives both
  if (ended_) return;
  if (hung_up || (connection_.peer_pidfd && base::is_readable(connection_.peer_pidfd.get()))) peer_ended();
}

bool SessionPort::peer_hung_up() {
  try {
    while (const std::optional<Packet> packet = connection_.socket.try_receive()) {
      if (packet_type(packet->bytes) == HandshakeType::superseded) {
        end(Status::superseded, "the peer has gone on with another process");
        return true;
      }
    }
    return false;
  } catch (const error&) {
    return true;
  }
}

void SessionPort::peer_ended() {
  // [CLOSE] pairs with Producer::mark_closed.
  if (connection_.peer->view().control->producer_wait.closed.load(std::memory_order_acquire) != 0) {
    end(Status::closed, "closed by the peer");
    return;
  }
  // Closed here: the peer has noticed, and what stops this thread is on its way. Acquire pairs with close(),
  // which says so here before it tells the peer.
  if (closed_here_.load(std::memory_order_acquire)) return;
  connected_ = false;
  keep_until_ = deadline_in(plan_.options.resume_window);
  look_again_at_ = {};
  pause_ = std::chrono::milliseconds(1);
  {
    const std::scoped_lock lock(mutex_);
    connection_.socket = PacketSocket(Descriptor());
  }
  // It may have died just before it woke us for what it had published or released: each end looks once more.
  producer_.gate().interrupt();
  consumer_.gate().interrupt();
  tell({.state = SessionState::waiting_for_peer});
  if (candidate_ && candidate_->stage == Candidate::Stage::waits_for_vacancy) offer();
}

void SessionPort::end(Status reason, const std::string& text) {
  ended_ = true;
  connected_ = false;
  // What a replaced peer writes stays unread, also now that nobody has come for it.
  if (fenced_) closed_here_.store(true, std::memory_order_release);
  end_waits(reason);
  hang_up();
  tell({.state = SessionState::closed, .reason = reason, .text = text});
}

void SessionPort::tell(SessionEvent event) {
  if (!plan_.options.on_state) return;
  event.epoch = info_.epoch;  // only this thread changes it
  plan_.options.on_state(event);
}

/// For the side that lived on: messages that it has not released yet count as not received.
SessionEvent SessionPort::resumed_with(const ring::PeerView& fresh) const {
  const ring::Position released =
      connection_.own.view().control->release.released.load(std::memory_order_relaxed);
  const WaitingMessages waiting = waiting_messages(fresh, released);
  SessionEvent event{.state = SessionState::resumed};
  event.first = waiting.first;
  event.last = waiting.last;
  return event;
}

// The next one.

void SessionPort::look_for_candidate() {
  if (steady_clock::now() < look_again_at_) return;
  if (place_.listener) {
    accept_candidate();
  } else if (!connected_) {
    connect_to_host();
  }
}

void SessionPort::accept_candidate() {
  AcceptResult result = place_.listener->accept();
  if (result.outcome == AcceptOutcome::out_of_resources) look_again_at_ = steady_clock::now() + kLongestPause;
  if (result.outcome != AcceptOutcome::accepted) return;
  candidate_.emplace(Candidate{std::move(*result.connection), Candidate::Stage::says_hello,
                               deadline_in(plan_.options.handshake_timeout)});
  const uid_t user = candidate_->socket.peer_credentials().uid;
  if (user != plan_.peer_user())
    throw error(connect_errc::refused, "user " + std::to_string(user) + " may not connect");
}

void SessionPort::connect_to_host() {
  look_again_at_ = steady_clock::now() + pause_;
  pause_ = std::min(pause_ * 2, kLongestPause);
  try {
    PacketSocket socket = connect_until(place_.path, plan_.peer_user(), steady_clock::now());
    const Deadline deadline = deadline_in(plan_.options.handshake_timeout);
    SessionHello hello;
    hello.has_state = 1;
    hello.session = info_.id;
    hello.epoch = info_.epoch;
    socket.send(encode_packet(hello), {}, deadline);
    candidate_.emplace(Candidate{std::move(socket), Candidate::Stage::asks, deadline});
  } catch (const error& why) {
    // Nobody there yet, or gone again; whatever else it is may pass too, as long as the window lasts.
    if (why.code() == connect_errc::refused) end(Status::peer_died, why.what());
  }
}

void SessionPort::advance_candidate() {
  if (candidate_->stage != Candidate::Stage::waits_for_vacancy) {
    while (candidate_ && !ended_) {
      std::optional<Packet> packet = candidate_->socket.try_receive();
      if (!packet) break;
      take_packet(std::move(*packet));
    }
  }
  if (!candidate_ || ended_ || steady_clock::now() < candidate_->deadline) return;
  if (candidate_->stage == Candidate::Stage::waits_for_vacancy) {
    throw error(connect_errc::refused, "this end of the session belongs to process " +
                                           std::to_string(connection_.credentials.pid) +
                                           ", which still runs");
  }
  throw error(errc::timed_out, "a process didn't finish its handshake in time");
}

void SessionPort::take_packet(Packet packet) {
  switch (candidate_->stage) {
    case Candidate::Stage::says_hello:
      take_hello(packet);
      break;
    case Candidate::Stage::asks:
      expect_no_descriptors(packet);
      (void)decode_packet<SessionRequest>(packet.bytes);
      offer();
      break;
    case Candidate::Stage::answers:
      adopt(std::move(packet));
      break;
    case Candidate::Stage::waits_for_vacancy:
      break;
  }
}

void SessionPort::take_hello(const Packet& packet) {
  if (decode_hello(packet).has_state != 0)
    throw error(connect_errc::refused, "the host is in a session already, and has its state");
  if (!connected_ || plan_.options.replace_living_peer) {
    offer();
  } else {
    candidate_->stage = Candidate::Stage::waits_for_vacancy;
    candidate_->deadline = deadline_in(kTimeToEnd);
  }
}

void SessionPort::set_fenced(bool fenced) {
  {
    const std::scoped_lock lock(mutex_);
    fenced_ = fenced;
  }
  if (!fenced) {
    peer_settled_.notify_all();
    return;
  }
  producer_.gate().interrupt();
  consumer_.gate().interrupt();
  // From here on each end sees the interruption before it uses anything that it reads from now on.
  ring::sleeper_barrier(ring::register_barrier_target());
}

void SessionPort::offer() {
  set_fenced(true);  // [FENCE]
  floor_ = floor_of(connection_.peer->view());
  if (connected_) {
    try {
      connection_.socket.send(encode_packet(Superseded{}), {}, steady_clock::now());  // [SUPERSEDE]
    } catch (const error&) {
      // It has ended meanwhile: then there's nobody to be told.
    }
    const std::scoped_lock lock(mutex_);
    connection_.socket = PacketSocket(Descriptor());
    connected_ = false;
    keep_until_ = deadline_in(plan_.options.resume_window);
  }
  candidate_->stage = Candidate::Stage::answers;
  candidate_->deadline = deadline_in(plan_.options.handshake_timeout);
  send_offer(candidate_->socket, {info_.id, info_.epoch + 1}, connection_.own, connection_.peer.get(),
             candidate_->deadline);  // [OFFER]
}

void SessionPort::adopt(Packet packet) {
  SessionAnswerContent answer = open_answer(std::move(packet), {info_.id, info_.epoch + 1}, plan_.backing());
  check_successor(answer.region->view(), connection_.peer->view(), connection_.own.view(), floor_);
  const SessionEvent resumed = resumed_with(answer.region->view());  // while nobody writes there yet
  const Credentials credentials = candidate_->socket.peer_credentials();
  {
    const std::scoped_lock lock(mutex_);  // [ADOPT]
    connection_.peer = std::move(answer.region);
    connection_.socket = std::move(candidate_->socket);
    connection_.peer_pidfd = std::move(answer.pidfd);
    connection_.credentials = credentials;
    ++info_.epoch;
    fenced_ = false;
  }
  candidate_.reset();
  connected_ = true;
  peer_settled_.notify_all();
  try {
    connection_.socket.send(encode_packet(Welcome{}), {}, deadline_in(plan_.options.handshake_timeout));
  } catch (const error&) {
    // It has died since: the next look at it finds that out, and its region has everything.
  }
  tell(resumed);
}

void SessionPort::drop_candidate(const error& why) {
  if (!candidate_) return;
  const Candidate::Stage stage = candidate_->stage;
  // [SUPERSEDE] One that has the offer must not take itself for the keeper when this side dies.
  if (stage == Candidate::Stage::answers || why.code() != connect_errc::refused || place_.listener)
    try_refuse(candidate_->socket, why);
  candidate_.reset();
  if (stage == Candidate::Stage::asks && why.code() == connect_errc::refused) {
    end(Status::peer_died, why.what());
    return;
  }
  // The old peer's region is the truth again, if nobody writes it any more.
  const bool dead = !connection_.peer_pidfd || base::is_readable(connection_.peer_pidfd.get());
  if (stage == Candidate::Stage::answers && dead) set_fenced(false);
}

}  // namespace sluice::ipc
