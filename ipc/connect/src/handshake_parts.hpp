// What the handshakes of plain ports and of sessions have in common.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "handshake_messages.hpp"
#include "peer_watcher.hpp"
#include "seqpacket.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ipc {

ring::SessionId random_session_id();

/// The Feature bits of a region whose owner waits like this.
std::uint32_t features(const WaitOptions& wait);

/// A new region with a ring of its own beginning.
ring::OwnedRegion make_region(const PortOptions& options, const ring::SessionId& session, std::uint64_t epoch,
                              const std::filesystem::path& file = {});

/// Maps the region of a peer whose ring has just begun.
std::shared_ptr<const ring::PeerRegion> open_peer_region(
    Descriptor descriptor, const ring::SessionId& session, std::uint64_t epoch,
    ring::Backing backing = ring::Backing::sealed_memory);

/// Sends a packet with this side's region and, where there is one, the pidfd of this process.
template <typename Kind>
void send_with_region(PacketSocket& socket, Kind packet, const ring::OwnedRegion& region, Deadline deadline) {
  const Descriptor pidfd = own_pidfd();
  const std::array<int, 2> descriptors{region.descriptor(), pidfd.get()};
  packet.has_pidfd = pidfd ? 1 : 0;
  socket.send(encode_packet(packet), std::span(descriptors).first(pidfd ? 2 : 1), deadline);
}

struct PeerDescriptors {
  Descriptor region;
  Descriptor pidfd;
};

/// The descriptors of a packet that carries a region and, if `has_pidfd` is 1, a pidfd. Throws
/// connect_errc::protocol.
PeerDescriptors take_descriptors(Packet& packet, std::uint32_t has_pidfd);
void expect_no_descriptors(const Packet& packet);

/// Throws connect_errc::bad_version unless the peer was built with our layout.
void check_layout(std::uint32_t version, std::uint32_t hash);

/// Tells the other side why it is refused; it may be gone already.
void try_refuse(PacketSocket& socket, const error& why) noexcept;

/// A listener that refuses hangs up at once, perhaps before we have sent anything: its reason then waits to
/// be received. Throws that reason if there is one.
void throw_waiting_refusal(PacketSocket& socket);

}  // namespace sluice::ipc
