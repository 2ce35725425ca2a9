// The session's own thread: notices the peer's end, and brings the next one in.
#include <poll.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "application_call.hpp"
#include "session_port.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {
namespace {

using std::chrono::steady_clock;

/// Between two looks for a host, at most.
constexpr std::chrono::milliseconds kLongestPause{20};

constexpr const char* kReplaced = "the peer has gone on with another process";

}  // namespace

class SessionPort::Succession final : public Handshake {
 public:
  Succession(base::PeerSocket socket, SessionPort& port)
      : Handshake(std::move(socket), ConnectionKind::session, port.info_, port.plan_.backing(),
                  port.plan_.options.handshake_timeout),
        port_(port) {}

 private:
  std::string owner_of_its_end(bool is_owned) const override {
    if (port_.plan_.options.replace_living_peer) return {};
    if (port_.connected_) return "process " + std::to_string(port_.connection_.identity.pid);
    return is_owned ? "another process" : "";
  }
  Keeping keep() override {
    port_.set_fenced(true);  // [FENCE]
    if (port_.connected_) port_.supersede_peer();
    return {{port_.info_.id, port_.info_.epoch + 1}, &port_.connection_.own, port_.connection_.peer.get()};
  }
  void adopt(std::shared_ptr<const ring::PeerRegion> peer, Descriptor peer_pidfd) override {
    port_.adopt(socket(), std::move(peer), std::move(peer_pidfd));
  }
  // A handshake that begins with the state never joins.
  const ring::OwnedRegion& join(const SessionInfo&, Descriptor&, Descriptor*) override {
    return port_.connection_.own;
  }
  void joined(Descriptor, bool) override {}

  SessionPort& port_;
};

void SessionPort::run() noexcept {
  const CancellationOff no_cancellation;
  try {
    if (!connected_) peer_ended();
    while (!ended_ && !place_.stop.is_set()) step();
    if (!ended_) tell_closed_here();
  } catch (const std::exception& failure) {
    fail(failure.what());
  }
  // Nobody goes on from here: a file of our own would only be taken for a session that can.
  const Status reason = consumer_.gate().final_reason();
  if (reason == Status::closed || reason == Status::peer_died) remove_files();
  reception_.clear();
  place_.listener.reset();
  place_.end.reset();
}

/// A peer that lives removes its own. One that is just dying may hold its lock for a moment.
void SessionPort::remove_files() noexcept {
  connection_.own.remove_file();
  if (plan_.peer_file.empty()) return;
  const bool dies = !connected_ && !peer_closed() && connection_.peer_pidfd;
  if (dies) base::wait_for_events(connection_.peer_pidfd.get(), POLLIN, deadline_in(kTimeToEnd));
  SessionEnd::remove_file_of_nobody(plan_.peer_file);
}

void SessionPort::tell_closed_here() {
  const Status reason = consumer_.gate().final_reason();
  tell({.state = SessionState::closed,
        .reason = reason,
        .text = reason == Status::broken ? failure_text() : "closed here"});
}

void SessionPort::step() {
  wait_for_something();
  if (place_.stop.is_set()) return;
  if (connected_) look_at_peer();
  try {
    if (!ended_) reception_.advance();
  } catch (const error&) {
    // No client could be taken in; the next try is after a pause.
  }
  if (ended_ || connected_ || !reception_.idle()) return;
  if (steady_clock::now() >= keep_until_) {
    end(Status::peer_died, "nobody came back within the resume window");
  } else if (!place_.listener && steady_clock::now() >= connect_again_) {
    connect_to_host();
  }
}

void SessionPort::wait_for_something() {
  std::vector<pollfd> polled{{place_.stop.fd(), POLLIN, 0}};
  Deadline deadline = kNoDeadline;
  if (connected_) {
    polled.push_back({connection_.socket.get(), POLLIN | POLLRDHUP, 0});
    polled.push_back({connection_.peer_pidfd.get(), POLLIN, 0});
  } else if (reception_.idle()) {
    deadline = place_.listener ? keep_until_ : std::min(keep_until_, connect_again_);
  }
  reception_.wait(std::move(polled), deadline);
}

// The present peer.

void SessionPort::look_at_peer() {
  const bool hung_up = peer_hung_up();  // first: what the peer was told by the keeper before it outlives both
  if (ended_) return;
  if (hung_up || (connection_.peer_pidfd && base::is_readable(connection_.peer_pidfd.get()))) peer_ended();
}

bool SessionPort::peer_hung_up() {
  try {
    std::unique_lock lock(mutex_);  // as in look_for_word(): the word is in the socket or in the gates
    const std::optional<Packet> packet = try_receive_packet(connection_.socket.get());
    if (!packet) return false;
    // A peer that says anything else breaks a rule, and is let go.
    if (packet_type(packet->bytes) != HandshakeType::superseded) return true;
    end_waits(Status::superseded);
    lock.unlock();
    end(Status::superseded, kReplaced);
    return true;
  } catch (const error&) {
    return true;
  }
}

void SessionPort::peer_ended() {
  if (peer_closed()) {
    end(Status::closed, "closed by the peer");
    return;
  }
  // Closed here: the peer has noticed, and what stops this thread is on its way. Acquire pairs with close(),
  // which says so here before it tells the peer.
  if (closed_here_.load(std::memory_order_acquire)) return;
  connected_ = false;
  keep_until_ = deadline_in(plan_.options.resume_window);
  connect_again_ = {};
  pause_ = std::chrono::milliseconds(1);
  {
    const std::scoped_lock lock(mutex_);
    connection_.socket.close();
  }
  // It may have died just before it woke us for what it had published or released: each end looks once more.
  producer_.gate().interrupt();
  consumer_.gate().interrupt();
  tell({.state = SessionState::waiting_for_peer});
}

void SessionPort::end(Status reason, const std::string& text) {
  ended_ = true;
  connected_ = false;
  // What a replaced peer that lives may still write stays unread, also now that nobody has come for it.
  if (fenced_ && peer_is_dead()) set_fenced(false);
  end_waits(reason);
  hang_up();
  tell({.state = SessionState::closed, .reason = reason, .text = text});
}

/// This process can't go on; the next one can.
void SessionPort::fail(const std::string& why) noexcept {
  note_end("the session's thread failed: " + why);
  if (ended_ || place_.stop.is_set()) return;
  leave_open();
  try {
    end(Status::broken, why);
  } catch (const std::exception&) {
    // It doesn't want to hear it.
  }
}

/// On this thread: whatever the handler throws ends the session here.
void SessionPort::tell(SessionEvent event) {
  try {
    call_handler(std::move(event));
  } catch (const std::exception& failure) {
    throw std::runtime_error(std::string("on_state threw: ") + failure.what());
  } catch (...) {
    throw std::runtime_error("on_state threw what is no std::exception");
  }
}

void SessionPort::call_handler(SessionEvent event) {
  if (!plan_.options.on_state) return;
  event.epoch = info_.epoch;  // only the session's thread changes it
  call_application([&] { plan_.options.on_state(event); });
}

/// For the side that lived on: messages that it has not released yet count as not received.
SessionEvent SessionPort::resumed_with(const ring::PeerView& fresh) const {
  const ring::Position released =
      connection_.own.view().control->release.released.load(std::memory_order_relaxed);
  return resumed_at(released, fresh,
                    deadline_in(plan_.options.handshake_timeout + time_for(fresh.header.capacity)));
}

// The next one.

Reception::Rules SessionPort::rules() {
  Reception::Rules rules;
  rules.users = {plan_.peer_user()};
  rules.patience = plan_.options.handshake_timeout;
  rules.shake_hands = [this](base::PeerSocket client) {
    return std::make_unique<Succession>(std::move(client), *this);
  };
  rules.on_failed = [this](const error&, Handshake::Step step) { handshake_failed(step); };
  return rules;
}

void SessionPort::connect_to_host() {
  if (place_.end->was_replaced()) return end(Status::superseded, kReplaced);
  connect_again_ = steady_clock::now() + pause_;
  pause_ = std::min(pause_ * 2, kLongestPause);
  try {
    auto handshake = std::make_unique<Succession>(
        connect_until(place_.path, plan_.peer_user(), steady_clock::now()), *this);
    handshake->say_hello();
    reception_.add(std::move(handshake));
  } catch (const error&) {
    // Nobody there yet, or gone again; whatever else it is may pass too, as long as the window lasts.
    return;
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

/// [SUPERSEDE]
void SessionPort::supersede_peer() {
  try {
    send_packet(connection_.socket.get(), encode_packet(Superseded{}), {}, steady_clock::now());
  } catch (const error&) {
    // It has ended meanwhile: then there's nobody to be told.
  }
  const std::scoped_lock lock(mutex_);
  connection_.socket.close();
  connected_ = false;
  keep_until_ = deadline_in(plan_.options.resume_window);
}

void SessionPort::adopt(base::PeerSocket& socket, std::shared_ptr<const ring::PeerRegion> peer,
                        Descriptor peer_pidfd) {
  const SessionEvent resumed = resumed_with(peer->view());  // while nobody writes there yet
  const PeerIdentity identity = peer_identity(socket.get());
  {
    const std::scoped_lock lock(mutex_);  // [ADOPT]
    connection_.peer = std::move(peer);
    // Relaxed: read by whoever finds the region in its file.
    connection_.own.view().control->session_peer.epoch.store(connection_.peer->view().header.epoch,
                                                             std::memory_order_relaxed);
    connection_.socket = std::move(socket);
    connection_.peer_pidfd = std::move(peer_pidfd);
    connection_.identity = identity;
    ++info_.epoch;
    fenced_ = false;
  }
  connected_ = true;
  peer_settled_.notify_all();
  try {
    send_packet(connection_.socket.get(), encode_packet(Welcome{}), {},
                deadline_in(plan_.options.handshake_timeout));  // [WELCOME]
  } catch (const error&) {
    // It has died since: the next look at it finds that out, and its region has everything.
  }
  tell(resumed);
}

/// A connector that is refused tries again, as long as the window lasts: the host may be in the middle of
/// something else.
void SessionPort::handshake_failed(Handshake::Step step) {
  // The old peer's region is the truth again, if nobody writes it any more.
  if (step == Handshake::Step::answer && peer_is_dead()) set_fenced(false);
}

bool SessionPort::peer_closed() const {
  // [CLOSE] pairs with Producer::mark_closed.
  return connection_.peer->view().control->producer_wait.closed.load(std::memory_order_acquire) != 0;
}

bool SessionPort::peer_is_dead() const {
  return !connection_.peer_pidfd || base::is_readable(connection_.peer_pidfd.get());
}

}  // namespace sluice::ipc
