// Two peers in one process, connected to each other.
#pragma once

#include <utility>

#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"

namespace sluice::test {

struct Peers {
  explicit Peers(const codec::PeerOptions& server_options, const codec::PeerOptions& client_options = {},
                 const PortOptions& port = {})
      : Peers(make_port_pair(port, port), server_options, client_options) {}

  codec::Peer server;
  codec::Peer client;

 private:
  Peers(std::pair<Port, Port> ports, const codec::PeerOptions& server_options,
        const codec::PeerOptions& client_options)
      : server(std::move(ports.first), server_options), client(std::move(ports.second), client_options) {}
};

}  // namespace sluice::test
