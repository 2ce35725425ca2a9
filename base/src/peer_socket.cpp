#include "sluice/base/detail/peer_socket.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>
#include <thread>

#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/detail/wiped_word.hpp"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace sluice::base {
namespace {

/// None in a forked child, which has none of the threads.
std::atomic<std::uint64_t>& count() {
  static WipedWord& word = *new WipedWord(0);  // never destroyed: the threads may outlive everything else
  return *word;
}

/// Whether there are descriptors in a socket that is shut down for reading. Takes out the packets in front of
/// the first that has some.
bool holds_descriptors(int socket) noexcept {
  // With credentials asked for, every packet has them: so an empty packet differs from the end. There's room
  // for nothing else.
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  int type = SOCK_STREAM;
  socklen_t size = sizeof type;
  ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size);
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(ucred))> credentials;
  std::array<std::byte, 4096> bytes_in_front;  // of packets the rest goes, too
  iovec part{.iov_base = bytes_in_front.data(), .iov_len = bytes_in_front.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  for (int flags = MSG_PEEK | MSG_DONTWAIT;; flags ^= MSG_PEEK) {
    message.msg_control = credentials.data();
    message.msg_controllen = credentials.size();
    const ssize_t bytes = ::recvmsg(socket, &message, flags);
    if (bytes < 0 && errno != EINTR && errno != ECONNRESET) return false;  // a reset is told once
    if (bytes < 0) flags ^= MSG_PEEK;
    if (bytes == 0 && (type == SOCK_STREAM || message.msg_controllen == 0)) return false;
    if (bytes >= 0 && (message.msg_flags & MSG_CTRUNC) != 0) return true;
  }
}

}  // namespace

std::vector<Descriptor> take_descriptors(msghdr& message) {
  std::vector<Descriptor> taken;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    taken.reserve(ControlBuffer::kMostDescriptors);  // so that nothing below can throw and leak
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      taken.emplace_back(fd);
    }
  }
  return taken;
}

void close_aside(std::vector<Descriptor> descriptors) noexcept {
  // Memory that can be sealed is of the kernel's own.
  std::erase_if(descriptors, [](const Descriptor& fd) { return !fd || ::fcntl(fd.get(), F_GET_SEALS) >= 0; });
  if (descriptors.empty()) return;
  const std::size_t number = descriptors.size();
  // Relaxed, also below: a bound for how many there may be, which publishes nothing.
  count().fetch_add(number, std::memory_order_relaxed);
  try {
    const SignalsBlocked blocked;
    std::thread closer([mine = std::move(descriptors)]() mutable {
      ::pthread_setname_np(::pthread_self(), "sluice-close");
      for (Descriptor& descriptor : mine) {
        descriptor.reset();
        count().fetch_sub(1, std::memory_order_relaxed);
      }
    });
    closer.detach();
  } catch (const std::exception&) {
    // The descriptors were closed with what should have become the thread.
    count().fetch_sub(number, std::memory_order_relaxed);
  }
}

std::size_t closed_aside() noexcept {
  return count().load(std::memory_order_relaxed);
}

PeerSocket::PeerSocket(Descriptor socket) noexcept
    : socket_(std::move(socket)), generation_(fork_generation()) {}

void PeerSocket::let_descriptors_in(bool in) const noexcept {
  const int value = in ? 1 : 0;
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof value);
}

void PeerSocket::close() noexcept {
  if (!socket_ || generation_ != fork_generation()) return socket_.reset();
  // From here on nothing more comes in.
  ::shutdown(socket_.get(), SHUT_RD);
  // Those who wait in the queue of a listening socket; any other accepts nobody.
  for (;;) {
    PeerSocket waiting(Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
    if (!waiting && errno != EINTR) break;
  }
  if (!holds_descriptors(socket_.get())) return socket_.reset();
  std::vector<Descriptor> rest;
  rest.push_back(std::move(socket_));
  close_aside(std::move(rest));
}

}  // namespace sluice::base
