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
#include "handshake_parts.hpp"
#include "peer_watcher.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {
namespace {

constexpr std::uint32_t kMaxSpinPolls = 1'000'000;
constexpr const char* kLate = "a client didn't finish its handshake in time";

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
    auto peer = open_peer_region(std::move(theirs.region), offer.session, offer.epoch);
    ring::OwnedRegion own = make_region(options, offer.session, offer.epoch);
    send_with_region(socket, Answer{}, own, deadline);
    packet = socket.receive(deadline);
    expect_no_descriptors(packet);
    (void)decode_packet<Welcome>(packet.bytes);
    const Credentials credentials = socket.peer_credentials();
    return {std::move(own), std::move(peer), std::move(socket), std::move(theirs.pidfd), credentials};
  } catch (const error& why) {
    if (why.code() == connect_errc::peer_gone) {
      throw_waiting_refusal(socket);
    } else if (why.code() != connect_errc::refused) {
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
  check_layout(hello.layout_version, hello.layout_hash);
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
  auto peer = open_peer_region(std::move(theirs.region), header.session, header.epoch);
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
    return std::make_shared<const ring::PeerRegion>(ring::PeerRegion::open(std::move(copy), session, kEpoch));
  };
  auto seen_by_first = see(second_region);
  auto seen_by_second = see(first_region);
  const Credentials credentials = first_socket.peer_credentials();
  return {
      Connection{std::move(first_region), std::move(seen_by_first), std::move(first_socket), {}, credentials},
      Connection{
          std::move(second_region), std::move(seen_by_second), std::move(second_socket), {}, credentials}};
}

}  // namespace sluice::ipc
