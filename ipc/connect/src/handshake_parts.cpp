#include "handshake_parts.hpp"

#include <sys/random.h>

#include <cerrno>
#include <string>
#include <utility>

#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {

ring::SessionId random_session_id() {
  ring::SessionId id;
  ssize_t got = 0;
  do {
    got = ::getrandom(id.data(), id.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(id.size())) throw_errno("getrandom for a session id");
  return id;
}

/// A side that always sleeps would pay for a membarrier at each sleep; it leaves the publisher its full
/// barrier instead.
std::uint32_t features(const WaitOptions& wait) {
  if (!ring::register_barrier_target()) return 0;
  std::uint32_t set = ring::kFeatureBarrierTarget;
  if (wait.strategy != WaitStrategy::sleep) set |= ring::kFeatureBarrierSleeper;
  return set;
}

ring::OwnedRegion make_region(const PortOptions& options, const ring::SessionId& session, std::uint64_t epoch,
                              const std::filesystem::path& file) {
  ring::RegionOptions region;
  region.capacity = options.ring_bytes;
  region.replay_window = options.replay_window_bytes.value_or(options.ring_bytes / 4);
  region.session = session;
  region.epoch = epoch;
  region.features = features(options.wait);
  region.file = file;
  return ring::OwnedRegion::create(region);
}

PeerDescriptors take_descriptors(Packet& packet, std::uint32_t has_pidfd) {
  const std::size_t expected = has_pidfd == 0 ? 1 : 2;
  if (has_pidfd > 1 || packet.descriptors.size() != expected) {
    throw error(connect_errc::protocol, "handshake: expected " + std::to_string(expected) +
                                            " descriptors, got " + std::to_string(packet.descriptors.size()));
  }
  PeerDescriptors taken{std::move(packet.descriptors[0]), {}};
  if (has_pidfd == 1) {
    taken.pidfd = std::move(packet.descriptors[1]);
    if (!is_pidfd(taken.pidfd.get()))
      throw error(connect_errc::protocol, "handshake: the second descriptor is no pidfd");
  }
  return taken;
}

void expect_no_descriptors(const Packet& packet) {
  if (packet.descriptors.empty()) return;
  throw error(connect_errc::protocol,
              "handshake: expected no descriptors, got " + std::to_string(packet.descriptors.size()));
}

std::shared_ptr<const ring::PeerRegion> open_peer_region(Descriptor descriptor,
                                                         const ring::SessionId& session, std::uint64_t epoch,
                                                         ring::Backing backing) {
  auto region = std::make_shared<const ring::PeerRegion>(
      ring::PeerRegion::open(std::move(descriptor), session, epoch, backing));
  const ring::RegionHeader& header = region->view().header;
  if (header.first_position != 0 || header.first_sequence != 1) {
    throw error(ring::errc::bad_region,
                "the peer's region: expected a new ring at position 0, record 1; got position " +
                    std::to_string(header.first_position) + ", record " +
                    std::to_string(header.first_sequence));
  }
  return region;
}

void try_refuse(PacketSocket& socket, const error& why) noexcept {
  try {
    socket.send(encode_refusal(why.code(), why.what()), {}, std::chrono::steady_clock::now());
  } catch (const std::exception&) {
    // Nobody listens any more; the reason goes to our own caller.
    return;
  }
}

void check_layout(std::uint32_t version, std::uint32_t hash) {
  if (version == ring::kLayoutVersion && hash == ring::kLayoutHash) return;
  throw error(connect_errc::bad_version, "handshake: expected layout version " +
                                             std::to_string(ring::kLayoutVersion) + " with hash " +
                                             std::to_string(ring::kLayoutHash) + ", got " +
                                             std::to_string(version) + " with hash " + std::to_string(hash));
}

void throw_waiting_refusal(PacketSocket& socket) {
  try {
    while (const std::optional<Packet> packet = socket.try_receive())
      (void)decode_packet<Welcome>(packet->bytes);
  } catch (const error& why) {
    if (why.code() == connect_errc::refused || why.code() == connect_errc::bad_version) throw;
  }
}

}  // namespace sluice::ipc
