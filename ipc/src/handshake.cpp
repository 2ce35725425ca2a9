#include "handshake.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "handshake_messages.hpp"
#include "peer_watcher.hpp"
#include "sluice/ring/barrier.hpp"
#include "sluice/ring/error.hpp"

namespace sluice::detail {
namespace {

constexpr std::uint32_t kMaxSpinPolls = 1'000'000;
constexpr const char* kLate = "a client didn't finish its handshake in time";

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

ring::OwnedRegion make_region(const PortOptions& options, const ring::SessionId& session,
                              std::uint64_t epoch) {
  ring::RegionOptions region;
  region.capacity = options.ring_bytes;
  region.replay_window = options.replay_window_bytes.value_or(options.ring_bytes / 4);
  region.session = session;
  region.epoch = epoch;
  region.features = features(options.wait);
  return ring::OwnedRegion::create(region);
}

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

PeerDescriptors take_descriptors(Packet& packet, std::uint32_t has_pidfd) {
  const std::size_t expected = has_pidfd == 0 ? 1 : 2;
  if (has_pidfd > 1 || packet.descriptors.size() != expected) {
    throw error(errc::protocol, "handshake: expected " + std::to_string(expected) + " descriptors, got " +
                                    std::to_string(packet.descriptors.size()));
  }
  PeerDescriptors taken{std::move(packet.descriptors[0]), {}};
  if (has_pidfd == 1) {
    taken.pidfd = std::move(packet.descriptors[1]);
    if (!is_pidfd(taken.pidfd.get()))
      throw error(errc::protocol, "handshake: the second descriptor is no pidfd");
  }
  return taken;
}

void expect_no_descriptors(const Packet& packet) {
  if (packet.descriptors.empty()) return;
  throw error(errc::protocol,
              "handshake: expected no descriptors, got " + std::to_string(packet.descriptors.size()));
}

ring::PeerRegion open_peer_region(Descriptor descriptor, const ring::SessionId& session,
                                  std::uint64_t epoch) {
  ring::PeerRegion region = ring::PeerRegion::open(std::move(descriptor), session, epoch);
  const ring::RegionHeader& header = region.view().header;
  if (header.first_position != 0 || header.first_sequence != 1) {
    throw error(errc::bad_region,
                "the peer's region: expected a new ring at position 0, record 1; got position " +
                    std::to_string(header.first_position) + ", record " +
                    std::to_string(header.first_sequence));
  }
  return region;
}

/// Tells the other side why it is refused; it may be gone already.
void try_refuse(PacketSocket& socket, const error& why) noexcept {
  try {
    socket.send(encode_refusal(why.code(), why.what()), {}, std::chrono::steady_clock::now());
  } catch (const std::exception&) {
    // Nobody listens any more; the reason goes to our own caller.
    return;
  }
}

/// A listener that refuses hangs up at once, perhaps before we have sent anything: its reason then waits to
/// be received. Throws that reason if there is one.
void throw_waiting_refusal(PacketSocket& socket) {
  try {
    while (const std::optional<Packet> packet = socket.try_receive())
      (void)decode_packet<Welcome>(packet->bytes);
  } catch (const error& why) {
    if (why.code() == errc::refused || why.code() == errc::bad_version) throw;
  }
}

}  // namespace

void check_port_options(const PortOptions& options) {
  if (options.wait.spin_polls > kMaxSpinPolls) {
    throw error(errc::bad_option, "spin_polls: expected at most " + std::to_string(kMaxSpinPolls) + ", got " +
                                      std::to_string(options.wait.spin_polls));
  }
  ring::check_region_sizes(options.ring_bytes, options.replay_window_bytes.value_or(options.ring_bytes / 4));
}

Connection shake_hands_as_connector(PacketSocket socket, const PortOptions& options, Deadline deadline) {
  try {
    socket.send(encode_packet(Hello{}), {}, deadline);
    Packet packet = socket.receive(deadline);
    const auto offer = decode_packet<Offer>(packet.bytes);
    PeerDescriptors theirs = take_descriptors(packet, offer.has_pidfd);
    ring::PeerRegion peer = open_peer_region(std::move(theirs.region), offer.session, offer.epoch);
    ring::OwnedRegion own = make_region(options, offer.session, offer.epoch);
    send_with_region(socket, Answer{}, own, deadline);
    packet = socket.receive(deadline);
    expect_no_descriptors(packet);
    (void)decode_packet<Welcome>(packet.bytes);
    const Credentials credentials = socket.peer_credentials();
    return {std::move(own), std::move(peer), std::move(socket), std::move(theirs.pidfd), credentials};
  } catch (const error& why) {
    if (why.code() == errc::peer_gone) {
      throw_waiting_refusal(socket);
    } else if (why.code() != errc::refused) {
      try_refuse(socket, why);
    }
    throw;
  }
}

ListenerHandshake::ListenerHandshake(PacketSocket socket, const PortOptions& options, Deadline deadline)
    : socket_(std::move(socket)), options_(&options), deadline_(deadline) {}

std::optional<Connection> ListenerHandshake::advance() {
  try {
    while (std::optional<Packet> packet = socket_.try_receive()) {
      if (own_) return receive_answer(std::move(*packet));
      receive_hello(*packet);
    }
    return std::nullopt;
  } catch (const error& why) {
    refuse(why);
    throw;
  }
}

void ListenerHandshake::give_up() {
  refuse(error(errc::timed_out, kLate));
  throw error(errc::timed_out, kLate);
}

void ListenerHandshake::refuse(const error& why) noexcept {
  try_refuse(socket_, why);
}

void ListenerHandshake::receive_hello(const Packet& packet) {
  expect_no_descriptors(packet);
  const auto hello = decode_packet<Hello>(packet.bytes);
  if (hello.layout_version != ring::kLayoutVersion || hello.layout_hash != ring::kLayoutHash) {
    throw error(errc::bad_version,
                "handshake: expected layout version " + std::to_string(ring::kLayoutVersion) + " with hash " +
                    std::to_string(ring::kLayoutHash) + ", got " + std::to_string(hello.layout_version) +
                    " with hash " + std::to_string(hello.layout_hash));
  }
  Offer offer;
  offer.session = random_session_id();
  offer.epoch = 1;
  own_ = make_region(*options_, offer.session, offer.epoch);
  send_with_region(socket_, offer, *own_, deadline_);
}

Connection ListenerHandshake::receive_answer(Packet packet) {
  const auto answer = decode_packet<Answer>(packet.bytes);
  PeerDescriptors theirs = take_descriptors(packet, answer.has_pidfd);
  const ring::RegionHeader& header = own_->view().header;
  ring::PeerRegion peer = open_peer_region(std::move(theirs.region), header.session, header.epoch);
  socket_.send(encode_packet(Welcome{}), {}, deadline_);
  const Credentials credentials = socket_.peer_credentials();
  return {std::move(*own_), std::move(peer), std::move(socket_), std::move(theirs.pidfd), credentials};
}

std::pair<Connection, Connection> connect_within_process(const PortOptions& first,
                                                         const PortOptions& second) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    throw_errno("socketpair for two connected ports");
  }
  PacketSocket first_socket{Descriptor(ends[0])};
  PacketSocket second_socket{Descriptor(ends[1])};
  const ring::SessionId session = random_session_id();
  constexpr std::uint64_t kEpoch = 1;
  ring::OwnedRegion first_region = make_region(first, session, kEpoch);
  ring::OwnedRegion second_region = make_region(second, session, kEpoch);
  const auto see = [&](const ring::OwnedRegion& region) {
    Descriptor copy(::fcntl(region.descriptor(), F_DUPFD_CLOEXEC, 0));
    if (!copy) throw_errno("duplicating a region's descriptor");
    return ring::PeerRegion::open(std::move(copy), session, kEpoch);
  };
  ring::PeerRegion seen_by_first = see(second_region);
  ring::PeerRegion seen_by_second = see(first_region);
  const Credentials credentials = first_socket.peer_credentials();
  return {
      Connection{std::move(first_region), std::move(seen_by_first), std::move(first_socket), {}, credentials},
      Connection{
          std::move(second_region), std::move(seen_by_second), std::move(second_socket), {}, credentials}};
}

}  // namespace sluice::detail
