#include "reception.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace sluice::ipc {
namespace {

using std::chrono::steady_clock;

/// After running out of descriptors or memory: until something may have been freed.
constexpr std::chrono::milliseconds kBackOff{50};

/// Clients taken in before the caller's deadline is looked at again.
constexpr int kMostInARow = 16;

}  // namespace

Reception::Reception(ListeningSocket* socket, Rules rules) : socket_(socket), rules_(std::move(rules)) {}

bool Reception::advance() {
  admit_clients();
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
  for (int i = 0; i < kMostInARow && has_room() && steady_clock::now() >= admit_again_; ++i) {
    admit_again_ = steady_clock::now() + kBackOff;  // if accept() throws, or finds no room
    if (base::closed_aside() >= base::kMostClosedAside) return;
    AcceptResult result = socket_->accept();
    if (result.outcome != AcceptOutcome::out_of_resources) admit_again_ = {};
    if (result.outcome != AcceptOutcome::accepted) return;
    admit(std::move(result.connection));
  }
}

void Reception::admit(base::PeerSocket client) {
  try {
    const std::uint32_t user = peer_identity(client.get()).uid;
    if (std::find(rules_.users.begin(), rules_.users.end(), user) == rules_.users.end())
      throw error(connect_errc::refused, "user " + std::to_string(user) + " may not connect");
    client.let_descriptors_in(true);
    add(rules_.shake_hands(std::move(client)));
  } catch (const error& why) {
    try_refuse(client.get(), why);
    rules_.on_failed(why, Handshake::Step::hello);
  }
}

void Reception::wait_for(std::vector<pollfd>& polled, Deadline& deadline) const {
  for (const auto& handshake : handshakes_) {
    polled.push_back({handshake->fd(), POLLIN, 0});
    deadline = std::min(deadline, handshake->deadline());
  }
  if (!has_room()) return;
  if (steady_clock::now() < admit_again_) {
    deadline = std::min(deadline, admit_again_);
  } else {
    polled.push_back({socket_->fd(), POLLIN, 0});
  }
}

}  // namespace sluice::ipc
