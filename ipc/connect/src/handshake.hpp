// Both sides of the handshake: from a connected socket to two mapped regions. The packets are in
// handshake_messages.hpp.
#pragma once

#include <memory>
#include <optional>

#include "port_impl.hpp"
#include "seqpacket.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ring/waiting.hpp"

namespace sluice::ipc {

/// Throws errc::bad_option for options that can't make a port.
void check_port_options(const PortOptions& options);

/// The connector's side, start to end. Throws what connect() documents; the listener is told why.
Connection shake_hands_as_connector(PacketSocket socket, const PortOptions& options, Deadline deadline);

/// The listener's side of one client, driven by readiness so that several go on at once.
class ListenerHandshake {
 public:
  ListenerHandshake(PacketSocket socket, const PortOptions& options, Deadline deadline);

  int fd() const noexcept { return socket_.fd(); }
  Deadline deadline() const noexcept { return deadline_; }

  /// Goes on as far as the packets that have come allow. Returns the connection once it stands; throws when
  /// the client broke a rule or hung up; the client has then been told why.
  std::optional<Connection> advance();

  /// Tells the client that it took too long, and throws errc::timed_out.
  [[noreturn]] void give_up();

  /// Tells the client why it isn't served.
  void refuse(const error& why) noexcept;

 private:
  void receive_hello(const Packet& packet);
  Connection receive_answer(Packet packet);

  PacketSocket socket_;
  const PortOptions* options_;
  Deadline deadline_;
  std::optional<ring::OwnedRegion> own_;  // empty until the hello has come
};

/// Two connections that belong together, made inside this process.
std::pair<Connection, Connection> connect_within_process(const PortOptions& first, const PortOptions& second);

}  // namespace sluice::ipc
