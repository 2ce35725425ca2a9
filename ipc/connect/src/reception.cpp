#include "reception.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>

namespace sluice::ipc {
namespace {

using std::chrono::steady_clock;

/// After running out of descriptors or memory: until something may have been freed.
constexpr std::chrono::milliseconds kBackOff{50};

/// Clients taken in before the caller's deadline is looked at again.
constexpr int kMostInARow = 16;

/// Each costs a descriptor and nothing else.
constexpr std::size_t kMostNewcomers = 32;

/// How long a client may be silent though others wait. It says hello right behind its connect().
constexpr std::chrono::milliseconds kTimeToSpeak{50};

}  // namespace

Reception::Reception(ListeningSocket* socket, Rules rules) : socket_(socket), rules_(std::move(rules)) {}

bool Reception::advance() {
  admit_clients();
  begin_handshakes();
  for (auto it = handshakes_.begin(); it != handshakes_.end();) {
    try {
      if ((*it)->advance()) {
        handshakes_.erase(it);
        return true;
      }
      ++it;
    } catch (const error& why) {
      const Handshake::Step step = (*it)->step();
      it = handshakes_.erase(it);
      rules_.on_failed(why, step);
    }
  }
  return false;
}

void Reception::admit_clients() {
  for (int i = 0; i < kMostInARow && socket_ != nullptr; ++i) {
    const auto silent = oldest_silent();
    if (steady_clock::now() < next_admission(silent)) return;
    admit_again_ = steady_clock::now() + kBackOff;  // if accept() throws, or finds no room
    if (base::closed_aside() >= base::kMostClosedAside) return;
    AcceptResult result = socket_->accept();
    if (result.outcome != AcceptOutcome::out_of_resources) admit_again_ = {};
    if (result.outcome == AcceptOutcome::nobody_waits) return;
    const bool full =
        result.outcome == AcceptOutcome::out_of_resources || newcomers_.size() >= kMostNewcomers;
    if (full && silent != newcomers_.end() && steady_clock::now() >= silent->gives_way_at)
      give_up(silent, "the client said nothing while others waited");
    if (result.outcome == AcceptOutcome::out_of_resources) return;
    admit(std::move(result.connection));
  }
}

void Reception::admit(base::PeerSocket client) {
  try {
    const std::uint32_t user = peer_identity(client.get()).uid;
    if (std::find(rules_.users.begin(), rules_.users.end(), user) == rules_.users.end())
      throw error(connect_errc::refused, "user " + std::to_string(user) + " may not connect");
    client.let_descriptors_in(true);
  } catch (const error& why) {
    return refuse(client, why);
  }
  const auto now = steady_clock::now();
  newcomers_.push_back({std::move(client), now + kTimeToSpeak, deadline_in(rules_.patience)});
}

void Reception::begin_handshakes() {
  for (auto it = newcomers_.begin(); it != newcomers_.end() && has_place();) {
    if (it->has_spoken()) {
      add(rules_.shake_hands(std::move(it->socket)));
      it = newcomers_.erase(it);
    } else if (steady_clock::now() >= it->silent_until) {
      it = give_up(it, "the client said nothing, and didn't finish its handshake in time");
    } else {
      ++it;
    }
  }
}

Reception::Newcomers::iterator Reception::oldest_silent() noexcept {
  return std::find_if_not(newcomers_.begin(), newcomers_.end(), std::mem_fn(&Newcomer::has_spoken));
}

/// Not before there's room for one more: `silent` gives way, unless all have spoken.
Deadline Reception::next_admission(Newcomers::iterator silent) noexcept {
  if (newcomers_.size() < kMostNewcomers) return admit_again_;
  return silent == newcomers_.end() ? kNoDeadline : std::max(admit_again_, silent->gives_way_at);
}

Reception::Newcomers::iterator Reception::give_up(Newcomers::iterator newcomer, const char* why) {
  const base::PeerSocket client = std::move(newcomer->socket);
  const auto next = newcomers_.erase(newcomer);
  refuse(client, error(errc::timed_out, why));
  return next;
}

void Reception::refuse(const base::PeerSocket& client, const error& why) const {
  try_refuse(client.get(), why);
  rules_.on_failed(why, Handshake::Step::hello);
}

void Reception::wait(std::vector<pollfd> polled, Deadline deadline) {
  for (const auto& handshake : handshakes_) {
    polled.push_back({handshake->fd(), POLLIN, 0});
    deadline = std::min(deadline, handshake->deadline());
  }
  // Without a place for them they wait, as they would in the socket's queue.
  for (const Newcomer& newcomer : newcomers_) {
    if (!has_place()) break;
    polled.push_back({newcomer.socket.get(), POLLIN, 0});
    deadline = std::min(deadline, newcomer.silent_until);
  }
  const Deadline admission = socket_ == nullptr ? kNoDeadline : next_admission(oldest_silent());
  if (socket_ == nullptr || steady_clock::now() < admission) {
    deadline = std::min(deadline, admission);
  } else {
    polled.push_back({socket_->fd(), POLLIN, 0});
  }
  base::wait_for_any_event(polled, deadline);
}

}  // namespace sluice::ipc
