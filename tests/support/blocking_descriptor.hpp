// A descriptor that a hostile peer may send: whoever closes it last waits.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "sluice/base/descriptor.hpp"

namespace sluice::test {

/// A connected TCP socket with data that nobody reads: its last close takes a minute, unless this object, or
/// the process that has it, ends before.
class BlockingDescriptor {
 public:
  BlockingDescriptor() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    const int little = 4096;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    ::bind(listener_.get(), any, size);
    ::listen(listener_.get(), 1);
    ::getsockname(listener_.get(), any, &size);
    if (::connect(socket_.get(), any, size) != 0) socket_.reset();
    const std::array<char, 65536> bytes{};
    while (socket_ && ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    const linger minute{.l_onoff = 1, .l_linger = 60};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &minute, sizeof minute);
  }

  /// -1 if this machine has no TCP.
  int get() const noexcept { return socket_.get(); }
  /// Once somebody else has it.
  void let_go() noexcept { socket_.reset(); }

 private:
  Descriptor socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Descriptor listener_{
      ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};  // goes first, which ends the connection
};

}  // namespace sluice::test
