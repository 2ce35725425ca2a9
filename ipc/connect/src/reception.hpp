// Where handshakes go on side by side, and new clients come in.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "handshake.hpp"
#include "listening_socket.hpp"

namespace sluice::ipc {

/// The handshakes of one side. A host's has a socket from which it takes clients, as many at a time as it
/// serves at once; the others wait in the socket's queue. Each client's user is checked before anything else
/// is done for it. Never blocks. Thread-safety: none.
class Reception {
 public:
  struct Rules {
    std::vector<uid_t> users;  ///< who may connect
    std::size_t most_at_once = 1;
    /// The host's side of a handshake with this client.
    std::function<std::unique_ptr<Handshake>(base::PeerSocket client)> shake_hands;
    /// Told why a handshake failed, and in which step; the other side knows. It may throw, out of advance().
    std::function<void(const error& why, Handshake::Step step)> on_failed;
  };

  /// `socket` (null: none) must outlive this.
  Reception(ListeningSocket* socket, Rules rules);

  /// Takes in a handshake that was begun elsewhere.
  void add(std::unique_ptr<Handshake> handshake) { handshakes_.push_back(std::move(handshake)); }
  void clear() noexcept { handshakes_.clear(); }
  bool empty() const noexcept { return handshakes_.empty(); }

  /// Goes on as far as the packets and clients that have come allow; true as soon as one connection stands.
  bool advance();

  /// Adds what is to be waited for before the next advance().
  void wait_for(std::vector<pollfd>& polled, Deadline& deadline) const;

 private:
  void admit_clients();
  void admit(base::PeerSocket client);
  bool has_room() const noexcept { return socket_ != nullptr && handshakes_.size() < rules_.most_at_once; }

  ListeningSocket* socket_;
  Rules rules_;
  std::list<std::unique_ptr<Handshake>> handshakes_;
  Deadline admit_again_{};
};

}  // namespace sluice::ipc
