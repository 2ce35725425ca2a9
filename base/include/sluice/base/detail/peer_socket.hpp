// Closing what a peer chose. The last close of a descriptor can block for as long as the peer likes: a socket
// that lingers, a file of a file system that it runs itself. The same holds for a socket in which descriptors
// wait that nobody has received.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "sluice/base/descriptor.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// Room for the control data that comes with one read: its sender's credentials, and as many descriptors as the
/// kernel passes at once (SCM_MAX_FD). Those for which there's no room it would close on the reading thread.
struct alignas(cmsghdr) ControlBuffer {
  static constexpr std::size_t kMostDescriptors = 253;
  std::array<std::byte, CMSG_SPACE(3 * sizeof(int)) + CMSG_SPACE(kMostDescriptors * sizeof(int))> bytes;
};

/// Takes ownership of every descriptor that came with a message, wanted or not.
std::vector<Descriptor> take_descriptors(msghdr& message);

/// Closes descriptors of any kind on a thread made for it; here only if none can be made.
void close_aside(std::vector<Descriptor> descriptors) noexcept;

/// How many descriptors of this process are being closed aside. Whoever takes in peers stops at
/// kMostClosedAside, so that the hostile among them don't use up all descriptors.
std::size_t closed_aside() noexcept;
inline constexpr std::size_t kMostClosedAside = 256;

/// Owns one end of a connected Unix socket, or a listening one with everybody who waits in its queue. It ends
/// the connection without waiting for anything that the other end has put into it. Thread-safety: none.
class PeerSocket {
 public:
  PeerSocket() noexcept = default;
  explicit PeerSocket(Descriptor socket) noexcept;
  PeerSocket(PeerSocket&&) noexcept = default;
  PeerSocket& operator=(PeerSocket&& other) noexcept {
    if (this != &other) {
      close();
      socket_ = std::move(other.socket_);
      generation_ = other.generation_;
    }
    return *this;
  }
  ~PeerSocket() { close(); }

  /// The number, or -1 if nothing is owned.
  int get() const noexcept { return socket_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }

  /// Whether the other end can send descriptors here. Always, before Linux 6.16.
  void let_descriptors_in(bool in) const noexcept;

  /// Gives up ownership without closing.
  Descriptor release() noexcept { return std::move(socket_); }

  /// In a process that inherited it through fork() the connection goes on: it is the parent's.
  void close() noexcept;

 private:
  Descriptor socket_;
  std::uint64_t generation_ = 0;  // of the process that made it, see fork_generation()
};

}  // namespace sluice::base

#pragma GCC visibility pop
