// The listening end of a rendezvous: owns a socket file and hands out connections.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/peer_socket.hpp"

namespace sluice::ipc {

/// Who may open the socket file at all; the listener's owner always may.
enum class SocketAccess {
  owner,     ///< mode 0600
  everybody  ///< mode 0666: the one who accepts checks the users
};

/// What became of one accept().
enum class AcceptOutcome {
  accepted,
  nobody_waits,
  out_of_resources,  ///< no descriptor or memory for the connection, which stays in the queue: back off, then
                     ///< retry
};

struct AcceptResult {
  AcceptOutcome outcome;
  base::PeerSocket connection;  ///< set iff accepted
};

/// A Unix SOCK_SEQPACKET listener (at most 128 waiting connections) and the socket file it made.
/// Taking a path, probing what is there and removing it happen under an exclusive lock, on the file
/// .NAME.lock in the same directory, so that of several listeners one wins and a stale file is never confused
/// with a live one. Any thread may
/// accept; the rest one thread.
class ListeningSocket {
 public:
  /// Listens at `path`; takes over the file of a listener that has died. Throws connect_errc::name_taken if
  /// one is alive, errc::unsafe_place if the file is a symbolic link or belongs to another user, or others
  /// can replace files in the directory, errc::bad_name if it is no socket, errc::timed_out if another
  /// process of this user holds the lock for 2 s.
  explicit ListeningSocket(const std::filesystem::path& path, SocketAccess access = SocketAccess::owner);

  ListeningSocket(ListeningSocket&&) noexcept = default;
  ListeningSocket& operator=(ListeningSocket&&) = delete;

  /// Stops listening; removes the socket file if it is still the one made here and this is the process that
  /// made it.
  ~ListeningSocket();

  /// Readable (level-triggered) while a connection waits.
  int fd() const noexcept { return socket_.get(); }

  const std::filesystem::path& path() const noexcept { return path_; }

  /// The next waiting connection; never blocks.
  AcceptResult accept();

 private:
  void take_path(SocketAccess access);
  void start_listening(SocketAccess access);

  std::filesystem::path path_;
  Descriptor
      directory_;  // names the directory for good, even if the process changes its own or this one is renamed
  base::PeerSocket socket_;
  dev_t device_ = 0;  // with inode_ the identity of our file: the open socket pins it, so it can't be reused
  ino_t inode_ = 0;
  base::OwnerProcess owner_;
};

}  // namespace sluice::ipc
