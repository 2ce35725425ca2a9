#include "handshake.hpp"

#include <poll.h>

#include <array>
#include <string>
#include <utility>

#include "peer_watcher.hpp"
#include "port_regions.hpp"
#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice::ipc {
namespace {

using std::chrono::steady_clock;

void expect_descriptors(const Packet& packet, std::size_t expected) {
  if (packet.descriptors.size() == expected) return;
  throw error(connect_errc::protocol, "handshake: expected " +
                                          (expected == 0 ? "no" : std::to_string(expected)) +
                                          " descriptors, got " + std::to_string(packet.descriptors.size()));
}

/// A field of a packet that is 0 or 1.
bool flag(std::uint32_t field, const char* name) {
  if (field > 1) {
    throw error(connect_errc::protocol,
                std::string("handshake: ") + name + ": expected 0 or 1, got " + std::to_string(field));
  }
  return field == 1;
}

Descriptor take_pidfd(Packet& packet, bool has_pidfd) {
  if (!has_pidfd) return {};
  const std::optional<bool> found = is_pidfd(packet.descriptors[1].get());
  if (!found) return {};  // nobody can tell: the socket alone will say when the peer ends
  if (!*found) throw error(connect_errc::protocol, "handshake: the second descriptor is no pidfd");
  return std::move(packet.descriptors[1]);
}

void check_layout(const Hello& hello) {
  if (hello.layout_version == ring::kLayoutVersion && hello.layout_hash == ring::kLayoutHash) return;
  throw error(connect_errc::bad_version,
              "handshake: expected layout version " + std::to_string(ring::kLayoutVersion) + " with hash " +
                  std::to_string(ring::kLayoutHash) + ", got " + std::to_string(hello.layout_version) +
                  " with hash " + std::to_string(hello.layout_hash));
}

void check_kind(ConnectionKind wanted, ConnectionKind offered) {
  if (wanted == offered) return;
  if (wanted == ConnectionKind::plain)
    throw error(connect_errc::refused, "a session is offered here: use join_session(), not connect()");
  if (wanted == ConnectionKind::session) {
    throw error(connect_errc::refused,
                "plain connections are offered here: use connect(), not join_session()");
  }
  throw error(connect_errc::protocol, "handshake: expected a connection of kind 1 or 2, got " +
                                          std::to_string(static_cast<std::uint32_t>(wanted)));
}

}  // namespace

void try_refuse(int socket, const error& why) noexcept {
  try {
    send_packet(socket, encode_refusal(why), {}, steady_clock::now());
  } catch (const std::exception&) {
    // Nobody listens any more; the reason goes to our own caller.
    return;
  }
}

Handshake::Handshake(base::PeerSocket socket, ConnectionKind kind, const std::optional<SessionInfo>& state,
                     ring::Backing backing, std::chrono::nanoseconds timeout)
    : socket_(std::move(socket)),
      kind_(kind),
      state_(state),
      backing_(backing),
      timeout_(timeout),
      deadline_(deadline_in(timeout)) {}

void Handshake::allow_for(std::uint64_t ring_bytes) noexcept {
  const std::chrono::nanoseconds more = time_for(ring_bytes);
  deadline_ = deadline_ < kNoDeadline - more ? deadline_ + more : kNoDeadline;
}

void Handshake::say_hello(bool end_is_owned) {
  Hello hello;
  hello.kind = kind_;
  if (end_is_owned) hello.standing = Standing::second;
  if (state_) {
    hello.standing = Standing::keeper;
    hello.session = state_->id;
    hello.epoch = state_->epoch;
  }
  step_ = state_ ? Step::request : Step::offer;
  send(hello);
}

bool Handshake::advance() {
  try {
    while (step_ != Step::done) {
      std::optional<Packet> packet = receive();
      if (!packet) break;
      take(std::move(*packet));
    }
    if (step_ != Step::done && steady_clock::now() >= deadline_)
      throw error(errc::timed_out, "the other side didn't finish its handshake in time");
    return step_ == Step::done;
  } catch (const error& why) {
    // [SUPERSEDE] Also a joiner that is given up is told: it must not take itself for the keeper when this
    // side dies.
    try_refuse(socket_.get(), why);
    throw;
  }
}

/// Nothing if no packet has come yet, or none will: a joiner whose keeper has died has everything.
std::optional<Packet> Handshake::receive() {
  try {
    return try_receive_packet(socket_.get());
  } catch (const error& why) {
    if (why.code() != connect_errc::peer_gone || step_ != Step::welcome || !resumes_ || !peer_pidfd_) throw;
    if (!base::wait_for_events(peer_pidfd_.get(), POLLIN, deadline_in(kTimeToEnd))) throw;
  }
  joined(std::move(peer_pidfd_), false);
  step_ = Step::done;
  return std::nullopt;
}

void Handshake::take(Packet packet) {
  switch (step_) {
    case Step::hello:
      return take_hello(packet);
    case Step::request:
      expect_descriptors(packet, 0);
      (void)decode_packet<Request>(packet.bytes);
      return offer();
    case Step::offer:
      return take_offer(std::move(packet));
    case Step::answer:
      return take_answer(std::move(packet));
    case Step::welcome:
      return take_welcome(packet);
    case Step::done:
      return;
  }
}

void Handshake::take_hello(const Packet& packet) {
  expect_descriptors(packet, 0);
  const auto hello = decode_packet<Hello>(packet.bytes);
  check_layout(hello);
  check_kind(hello.kind, kind_);
  if (hello.standing > Standing::second) {
    throw error(connect_errc::protocol, "handshake: expected a standing of 0 to 2, got " +
                                            std::to_string(static_cast<std::uint32_t>(hello.standing)));
  }
  if (hello.standing == Standing::keeper) {
    if (state_) throw error(connect_errc::refused, "the host is in a session already, and has its state");
    if (kind_ == ConnectionKind::plain)
      throw error(connect_errc::protocol, "handshake: a plain connection has no state");
    step_ = Step::offer;
    send(Request{});
  } else {
    if (const std::string owner = owner_of_its_end(hello.standing == Standing::second); !owner.empty())
      throw EndIsTaken("this end of the session belongs to " + owner + ", which still runs");
    offer();
  }
}

void Handshake::offer() {
  if (step_ != Step::hello) deadline_ = deadline_in(timeout_);
  step_ = Step::answer;
  keeping_ = keep();
  allow_for(keeping_.own->view().header.capacity);
  if (keeping_.old != nullptr) {
    allow_for(keeping_.old->view().header.capacity);
    floor_ = floor_of(keeping_.old->view());
  }
  Offer offer;
  offer.session = keeping_.next.id;
  offer.epoch = keeping_.next.epoch;
  offer.has_old_region = keeping_.old != nullptr ? 1 : 0;
  send_with_regions(offer, *keeping_.own, keeping_.old);  // [OFFER]
}

void Handshake::take_offer(Packet packet) {
  const auto offer = decode_packet<Offer>(packet.bytes);
  const bool has_pidfd = flag(offer.has_pidfd, "has pidfd");
  resumes_ = flag(offer.has_old_region, "has old region");
  if (offer.epoch == 0) throw error(connect_errc::protocol, "handshake: an offer of epoch 0");
  if (resumes_ && kind_ == ConnectionKind::plain)
    throw error(connect_errc::protocol, "handshake: a plain connection goes on from nothing");
  expect_descriptors(packet, 1U + (has_pidfd ? 1U : 0U) + (resumes_ ? 1U : 0U));
  peer_pidfd_ = take_pidfd(packet, has_pidfd);
  const ring::OwnedRegion& own = join({offer.session, offer.epoch}, packet.descriptors.front(),
                                      resumes_ ? &packet.descriptors.back() : nullptr);
  step_ = Step::welcome;
  send_with_regions(Answer{}, own, nullptr);  // [ANSWER]
}

void Handshake::take_answer(Packet packet) {
  const auto answer = decode_packet<Answer>(packet.bytes);
  const bool has_pidfd = flag(answer.has_pidfd, "has pidfd");
  expect_descriptors(packet, has_pidfd ? 2 : 1);
  Descriptor pidfd = take_pidfd(packet, has_pidfd);
  Descriptor& region = packet.descriptors.front();
  const auto& [next, own, old] = keeping_;
  const auto accept = [this, offered = region.get()](const ring::RegionHeader& header) {
    check_unused(offered, keeping_.own->descriptor());
    if (keeping_.old == nullptr) return check_new_ring(header);
    check_unused(offered, keeping_.old->descriptor());
    check_same_size(header, keeping_.old->view().header);
  };
  auto peer = std::make_shared<const ring::PeerRegion>(
      ring::PeerRegion::open(std::move(region), next.id, next.epoch, backing_, accept));
  if (old != nullptr) check_successor(peer->view(), old->view(), own->view(), floor_, deadline_);
  adopt(std::move(peer), std::move(pidfd));
  step_ = Step::done;
}

void Handshake::take_welcome(const Packet& packet) {
  if (packet_type(packet.bytes) == HandshakeType::superseded)
    throw error(connect_errc::refused, "the peer has gone on with another process");
  expect_descriptors(packet, 0);
  (void)decode_packet<Welcome>(packet.bytes);
  joined(std::move(peer_pidfd_), true);
  step_ = Step::done;
}

template <typename Kind>
void Handshake::send(const Kind& packet, std::span<const int> descriptors) {
  try {
    send_packet(socket_.get(), encode_packet(packet), descriptors, deadline_);
  } catch (const error& why) {
    // What the other side has said before it went, a refusal perhaps, is received next; and then that it
    // went.
    if (why.code() != connect_errc::peer_gone) throw;
  }
}

template <typename Kind>
void Handshake::send_with_regions(Kind packet, const ring::OwnedRegion& own, const ring::PeerRegion* old) {
  const Descriptor pidfd = own_pidfd();
  packet.has_pidfd = pidfd ? 1 : 0;
  std::array<int, 3> descriptors{own.descriptor()};
  std::size_t count = 1;
  if (pidfd) descriptors.at(count++) = pidfd.get();
  if (old != nullptr) descriptors.at(count++) = old->descriptor();
  send(packet, std::span(descriptors).first(count));
}

}  // namespace sluice::ipc
