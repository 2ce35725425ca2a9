#include "seqpacket.hpp"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {

SocketAddress::SocketAddress(const std::filesystem::path& path) {
  const std::string& text = path.native();
  // An empty path would be autobound, and one that begins with a zero byte is an abstract name without
  // permissions.
  if (text.empty() || text.find('\0') != std::string::npos) {
    throw error(errc::bad_name,
                "socket path " + base::quoted_text(text) + " is empty or contains a zero byte");
  }
  if (text.size() > kMaxSocketPathBytes) {
    throw error(errc::bad_name, "socket path " + base::quoted_text(text) + " has " +
                                    std::to_string(text.size()) + " bytes; the system allows " +
                                    std::to_string(kMaxSocketPathBytes));
  }
  address_.sun_family = AF_UNIX;
  text.copy(address_.sun_path, kMaxSocketPathBytes);
}

const sockaddr* SocketAddress::get() const noexcept {
  // The socket calls take every address family through this one type.
  return reinterpret_cast<const sockaddr*>(&address_);
}

base::PeerSocket make_socket() {
  base::PeerSocket socket(Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (!socket) throw_errno("making a Unix socket");
  socket.let_descriptors_in(false);
  return socket;
}

int connect_once(int socket, const SocketAddress& address) noexcept {
  int code = 0;
  do {
    code = ::connect(socket, address.get(), address.size_bytes()) == 0 ? 0 : errno;
  } while (code == EINTR);
  return code;
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

bool is_held_for_a_dead_process(int socket) noexcept {
  int number = -1;
  socklen_t size = sizeof number;
  // EINVAL, ESRCH: it is reaped already; anything else: this kernel has no such option.
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &number, &size) != 0)
    return errno == EINVAL || errno == ESRCH;
  const Descriptor pidfd(number);
  return base::is_readable(pidfd.get());
}

namespace {

void check_socket_owner(const std::filesystem::path& path, uid_t owner, uid_t expected_owner,
                        const char* what) {
  if (owner == expected_owner) return;
  throw error(connect_errc::refused, "the " + std::string(what) + " at " + base::quoted_text(path.native()) +
                                         " belongs to user " + std::to_string(owner) + "; expected user " +
                                         std::to_string(expected_owner));
}

// False if there is nothing yet; throws for what can never become a connection.
bool is_socket_there(const std::filesystem::path& path, uid_t expected_owner) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    if (errno == EACCES || errno == EPERM)
      throw error(connect_errc::refused, "no permission to look up " + base::quoted_text(path.native()));
    throw_errno("looking up " + base::quoted_text(path.native()));
  }
  if (!S_ISSOCK(info.st_mode))
    throw error(errc::bad_name, "the file at " + base::quoted_text(path.native()) + " is no socket");
  check_socket_owner(path, info.st_uid, expected_owner, "socket");
  return true;
}

// 0 when connected; otherwise the errno of a state that may pass.
int try_connect(int fd, const SocketAddress& address, const std::filesystem::path& path) {
  const int code = connect_once(fd, address);
  switch (code) {
    case 0:
    case ENOENT:
    case ECONNREFUSED:
    case EAGAIN:
      return code;
    case EACCES:
    case EPERM:
      throw error(connect_errc::refused, "no permission to connect to " + base::quoted_text(path.native()));
    case EPROTOTYPE:
      throw error(errc::bad_name, "the socket at " + base::quoted_text(path.native()) +
                                      " is of another type; expected SEQPACKET");
    default:
      throw_errno(code, "connecting to " + base::quoted_text(path.native()));
  }
}

const char* describe_wait(int code) {
  switch (code) {
    case ECONNREFUSED:
      return "a socket is there but nobody listens";
    case EAGAIN:
      return "the listener's queue is full";
    case EBUSY:
      return "too many descriptors that peers have sent are still being closed";
    default:
      return "no socket is there";
  }
}

}  // namespace

base::PeerSocket connect_until(const std::filesystem::path& path, uid_t expected_owner, Deadline deadline,
                               std::string_view hint) {
  using std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kLongestPause{20};
  const SocketAddress address(path);
  const auto start = steady_clock::now();
  std::chrono::milliseconds pause{1};
  base::PeerSocket socket = make_socket();
  for (;;) {
    int code = is_socket_there(path, expected_owner) ? EBUSY : ENOENT;
    if (code == EBUSY && base::closed_aside() < base::kMostClosedAside)
      code = try_connect(socket.get(), address, path);
    if (code == 0 && is_held_for_a_dead_process(socket.get())) {
      socket = make_socket();
      code = ECONNREFUSED;
    }
    if (code == 0) break;
    const auto now = steady_clock::now();
    if (now >= deadline) {
      const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(now - start);
      throw error(errc::timed_out, "waited " + std::to_string(waited.count()) + " ms for a listener at " +
                                       base::quoted_text(path.native()) + ": " + describe_wait(code) +
                                       std::string(hint));
    }
    std::this_thread::sleep_until(std::min<steady_clock::time_point>(now + pause, deadline));
    pause = std::min(pause * 2, kLongestPause);
  }
  check_socket_owner(path, peer_identity(socket.get()).uid, expected_owner, "listener");
  socket.let_descriptors_in(true);
  return socket;
}

namespace {

bool means_peer_gone(int code) {
  return code == EPIPE || code == ECONNRESET || code == ECONNREFUSED || code == ENOTCONN;
}

[[noreturn]] void throw_peer_gone() {
  throw error(connect_errc::peer_gone, "the peer closed the rendezvous socket");
}

void check_limits(int flags, std::size_t descriptors) {
  if ((flags & MSG_TRUNC) != 0) {
    throw error(connect_errc::protocol,
                "a packet of the peer is longer than " + std::to_string(kMaxPacketBytes) + " bytes");
  }
  if (descriptors > kMaxPacketDescriptors) {
    throw error(connect_errc::protocol, "a packet of the peer carries more than " +
                                            std::to_string(kMaxPacketDescriptors) + " descriptors");
  }
  // There was room for all of them, but not in our descriptor table.
  if ((flags & MSG_CTRUNC) != 0) throw_errno(EMFILE, "receiving the descriptors of the peer");
}

}  // namespace

PeerIdentity peer_identity(int socket) {
  ucred found{};
  socklen_t size = sizeof(found);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &found, &size) != 0)
    throw_errno("identity of the peer of socket " + std::to_string(socket));
  return {.pid = found.pid, .uid = found.uid, .gid = found.gid};
}

void send_packet(int socket, std::span<const std::byte> packet, std::span<const int> descriptors,
                 Deadline deadline) {
  // An empty packet can't be told from the end of the connection at the other side.
  if (packet.empty() || packet.size() > kMaxPacketBytes) {
    throw error(errc::misuse, "a packet has 1 to " + std::to_string(kMaxPacketBytes) + " bytes, not " +
                                  std::to_string(packet.size()));
  }
  if (descriptors.size() > kMaxPacketDescriptors) {
    throw error(errc::misuse, "a packet carries at most " + std::to_string(kMaxPacketDescriptors) +
                                  " descriptors, not " + std::to_string(descriptors.size()));
  }

  // sendmsg() reads only; its types are shared with recvmsg().
  iovec part{.iov_base = const_cast<std::byte*>(packet.data()), .iov_len = packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  base::ControlBuffer control;
  if (!descriptors.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }

  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return;
    if (errno == EINTR) continue;
    if (means_peer_gone(errno)) throw_peer_gone();
    if (errno != EAGAIN) throw_errno("sending " + std::to_string(packet.size()) + " bytes to the peer");
    if (!base::wait_for_events(socket, POLLOUT, deadline)) {
      throw error(errc::timed_out,
                  "the peer left no room for a packet of " + std::to_string(packet.size()) + " bytes");
    }
  }
}

std::optional<Packet> try_receive_packet(int socket) {
  std::array<std::byte, kMaxPacketBytes> buffer;
  base::ControlBuffer control;
  for (;;) {
    iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const ssize_t received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (received < 0) {
      // A reset is reported once, ahead of the packets that came before it (the peer closed without reading
      // ours); asking again yields those packets, then the end.
      if (errno == EINTR || errno == ECONNRESET) continue;
      if (errno == EAGAIN) return std::nullopt;
      if (means_peer_gone(errno)) throw_peer_gone();
      throw_errno("receiving from the peer");
    }
    Packet packet;
    packet.descriptors = base::take_descriptors(message);
    check_limits(message.msg_flags, packet.descriptors.size());
    if (received == 0) throw_peer_gone();
    packet.bytes.assign(buffer.begin(), buffer.begin() + received);
    return packet;
  }
}

}  // namespace sluice::ipc
