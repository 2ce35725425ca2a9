// Two connected packet sockets and helpers for the tests of the socket layer.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "seqpacket.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"

namespace sluice::test {

/// A connected socket as tests use it: an end of a pair, or a client or listener that breaks the rules.
class PacketSocket {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): what connects and accepts gives a descriptor
  PacketSocket(Descriptor socket) noexcept : socket_(std::move(socket)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  PacketSocket(base::PeerSocket socket) noexcept : socket_(socket.release()) {}

  int fd() const noexcept { return socket_.get(); }
  PeerIdentity peer_identity() const { return ipc::peer_identity(fd()); }

  /// Descriptors wait until the other side lets them in.
  void send(std::span<const std::byte> packet, std::span<const int> descriptors, Deadline deadline) {
    for (;;) {
      try {
        return ipc::send_packet(fd(), packet, descriptors, deadline);
      } catch (const error& why) {
        if (why.code() != std::errc::operation_not_permitted || std::chrono::steady_clock::now() > deadline)
          throw;
      }
      std::this_thread::yield();
    }
  }
  std::optional<ipc::Packet> try_receive() { return ipc::try_receive_packet(fd()); }

  /// Waits for one packet; throws errc::timed_out.
  ipc::Packet receive(Deadline deadline) {
    for (;;) {
      if (auto packet = try_receive()) return std::move(*packet);
      if (!base::wait_for_events(fd(), POLLIN, deadline))
        throw error(errc::timed_out, "the peer sent no packet before the deadline");
    }
  }

  /// Ends the connection for both sides, whoever else holds the socket.
  void shut_down() noexcept { ::shutdown(fd(), SHUT_RDWR); }

  Descriptor release() noexcept { return std::move(socket_); }

 private:
  Descriptor socket_;
};

struct PacketPair {
  PacketPair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
      throw std::system_error(errno, std::system_category(), "socketpair");
    }
    left = PacketSocket(Descriptor(ends[0]));
    right = PacketSocket(Descriptor(ends[1]));
  }

  PacketSocket left{Descriptor()};
  PacketSocket right{Descriptor()};
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(const ipc::Packet& packet) {
  std::string text;
  for (const std::byte byte : packet.bytes) text += static_cast<char>(byte);
  return text;
}

inline Deadline in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// Long enough for any test on a loaded machine; a watchdog stands behind it.
inline Deadline soon() {
  return in(std::chrono::seconds(10));
}

}  // namespace sluice::test
