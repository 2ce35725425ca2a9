// Two connected packet sockets and helpers for the tests of the socket layer.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "seqpacket.hpp"

namespace sluice::test {

struct PacketPair {
  PacketPair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
      throw std::system_error(errno, std::system_category(), "socketpair");
    }
    left = ipc::PacketSocket(Descriptor(ends[0]));
    right = ipc::PacketSocket(Descriptor(ends[1]));
  }

  ipc::PacketSocket left{Descriptor()};
  ipc::PacketSocket right{Descriptor()};
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
