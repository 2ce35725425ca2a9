// Where new clients come in, and handshakes go on side by side.
//
//   the socket's queue ---> newcomers: nothing said yet ---> handshakes ---> a connection
//     128 at most             32 at most                       most_at_once
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "handshake.hpp"
#include "listening_socket.hpp"
#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice::ipc {

/// The handshakes of one side. A host's has a socket from which it takes clients. Each client's user is
/// checked before anything else is done for it, and a handshake begins once the client has said something: so
/// silent ones take nobody's place. While more clients wait the one that has been silent for longest gives
/// way. Never blocks. Thread-safety: none.
class Reception {
 public:
  struct Rules {
    std::vector<uid_t> users;  ///< who may connect
    std::size_t most_at_once = 1;
    std::chrono::nanoseconds patience{};  ///< with a client that says nothing
    /// The host's side of a handshake with this client.
    std::function<std::unique_ptr<Handshake>(base::PeerSocket client)> shake_hands;
    /// Told why a handshake failed, and in which step; the other side knows. It may throw, out of advance().
    std::function<void(const error& why, Handshake::Step step)> on_failed;
  };

  /// `socket` (null: none) must outlive this.
  Reception(ListeningSocket* socket, Rules rules);

  /// Takes in a handshake that was begun elsewhere.
  void add(std::unique_ptr<Handshake> handshake) { handshakes_.push_back(std::move(handshake)); }
  void clear() noexcept {
    newcomers_.clear();
    handshakes_.clear();
  }
  /// No handshake has begun.
  bool idle() const noexcept { return handshakes_.empty(); }

  /// Goes on as far as the packets and clients that have come allow; true as soon as one connection stands.
  bool advance();

  /// Waits until the next advance() may get on, or something comes for `polled`, or the deadline passes.
  void wait(std::vector<pollfd> polled, Deadline deadline);

 private:
  struct Newcomer {
    base::PeerSocket socket;
    Deadline gives_way_at;
    Deadline silent_until;
    bool has_spoken() const noexcept { return base::is_readable(socket.get()); }
  };
  using Newcomers = std::list<Newcomer>;

  void admit_clients();
  void admit(base::PeerSocket client);
  void begin_handshakes();
  Newcomers::iterator oldest_silent() noexcept;
  Deadline next_admission(Newcomers::iterator silent) noexcept;
  Newcomers::iterator give_up(Newcomers::iterator newcomer, const char* why);
  void refuse(const base::PeerSocket& client, const error& why) const;
  bool has_place() const noexcept { return handshakes_.size() < rules_.most_at_once; }

  ListeningSocket* socket_;
  Rules rules_;
  Newcomers newcomers_;  // oldest first
  std::list<std::unique_ptr<Handshake>> handshakes_;
  Deadline admit_again_{};
};

}  // namespace sluice::ipc
