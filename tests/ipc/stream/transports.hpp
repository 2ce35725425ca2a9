// The kinds of port that a stream runs over, as connected pairs in one process.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>

#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/port/port_pair.hpp"

namespace sluice::test {

enum class PortKind { shared_memory, small_ring, packets, bytes, pipes, handlers_only };

inline constexpr std::array kPortKinds{PortKind::shared_memory, PortKind::small_ring,
                                       PortKind::packets,       PortKind::bytes,
                                       PortKind::pipes,         PortKind::handlers_only};

inline std::string name_of(PortKind kind) {
  switch (kind) {
    case PortKind::shared_memory:
      return "SharedMemory";
    case PortKind::small_ring:
      return "SmallRing";
    case PortKind::packets:
      return "PacketSocket";
    case PortKind::bytes:
      return "StreamSocket";
    case PortKind::pipes:
      return "Pipes";
    case PortKind::handlers_only:
      return "HandlersOnly";
  }
  return "Unknown";
}

/// A port with nothing beyond MessagePortLike.
class HandlersOnlyPort {
 public:
  explicit HandlersOnlyPort(Port port) : port_(std::move(port)) {}
  Status post_message(std::span<const std::byte> message) { return port_.post_message(message); }
  MessageHandler on_message(MessageHandler handler) { return port_.on_message(std::move(handler)); }
  ErrorHandler on_error(ErrorHandler handler) { return port_.on_error(std::move(handler)); }
  CloseHandler on_close(CloseHandler handler) { return port_.on_close(std::move(handler)); }
  void start() { port_.start(); }
  void close() { port_.close(); }
  bool is_open() const { return port_.is_open(); }

 private:
  Port port_;
};

static_assert(MessagePortLike<HandlersOnlyPort>);

/// The two ends of a one-way pipe: reading, writing.
inline std::pair<Descriptor, Descriptor> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

inline std::pair<Descriptor, Descriptor> make_socket_pair(int type) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::system_error(errno, std::system_category(), "socketpair");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

using PortPair = std::pair<AnyPort, AnyPort>;

inline PortPair make_ports(PortKind kind) {
  switch (kind) {
    case PortKind::shared_memory: {
      auto [a, b] = make_port_pair();
      return {AnyPort(std::move(a)), AnyPort(std::move(b))};
    }
    case PortKind::small_ring: {
      auto [a, b] = make_port_pair({.ring_bytes = 4096}, {.ring_bytes = 4096});
      return {AnyPort(std::move(a)), AnyPort(std::move(b))};
    }
    case PortKind::packets:
    case PortKind::bytes: {
      auto [a, b] = make_socket_pair(kind == PortKind::packets ? SOCK_SEQPACKET : SOCK_STREAM);
      return {AnyPort(wrap_native_port(std::move(a))), AnyPort(wrap_native_port(std::move(b)))};
    }
    case PortKind::pipes: {
      auto [read_a, write_b] = make_pipe();
      auto [read_b, write_a] = make_pipe();
      return {AnyPort(wrap_native_port(std::move(read_a), std::move(write_a))),
              AnyPort(wrap_native_port(std::move(read_b), std::move(write_b)))};
    }
    case PortKind::handlers_only: {
      auto [a, b] = make_port_pair();
      return {AnyPort(HandlersOnlyPort(std::move(a))), AnyPort(HandlersOnlyPort(std::move(b)))};
    }
  }
  throw std::logic_error("no such port kind");
}

}  // namespace sluice::test
