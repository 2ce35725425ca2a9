#include "session_handshake.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <string>
#include <utility>

#include "handshake.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/ring/history.hpp"

namespace sluice::ipc {
namespace {

using ring::before;

/// What a joiner's consumer begins with.
struct Start {
  ring::ConsumerStart consumer;
  std::vector<SessionEvent> events;
};

[[noreturn]] void refuse_region(const char* what, Status status) {
  throw error(ring::errc::bad_region, "resuming a session: expected " + std::string(what) +
                                          " in the peer's ring, got a record that is " +
                                          std::string(to_string(status)));
}

ring::RecordPlace place_of(const ring::PeerView& ring, ring::Position released) {
  ring::HistoryReader reader(ring);
  const Status status = reader.seek_position(released);
  if (status != Status::ok) refuse_region("the record at the released position", status);
  return reader.place();
}

ring::RecordPlace end_of(const ring::PeerView& ring) {
  ring::HistoryReader reader(ring);
  const Status status = reader.seek_end();
  if (status != Status::ok) refuse_region("records up to the tail", status);
  return reader.place();
}

/// The first record that stays readable until something new is released.
ring::RecordPlace first_kept(const ring::PeerView& ring, ring::Position released) {
  ring::HistoryReader reader(ring);
  const Status status = reader.seek_position(released - ring.header.replay_window);
  // gone, broken: that is no boundary, and the reader stands at the first one behind it.
  if (status == Status::would_block || before(released, reader.place().position))
    refuse_region("the replay window", status);
  return reader.place();
}

/// Behind what the application says it has handled, or, where that is no longer there, at the first record
/// that is.
Start start_behind(ring::Sequence handled, const ring::PeerView& ring, const ring::RecordPlace& released,
                   const ring::RecordPlace& end) {
  const ring::Sequence wanted = handled + 1;
  if (before(end.sequence, wanted)) {
    throw error(checkpoint_errc::bad_checkpoint,
                "resuming a session: expected a checkpoint of at most message " +
                    std::to_string(end.sequence - 1) + ", got " + std::to_string(handled));
  }
  if (!before(wanted, released.sequence)) {
    ring::HistoryReader reader(ring);
    if (const Status status = reader.seek(wanted); status != Status::ok)
      refuse_region("the record behind the checkpoint", status);
    return {{reader.place(), reader.place().position, wanted}, {}};
  }
  const ring::RecordPlace kept = first_kept(ring, released.position);
  if (before(wanted, kept.sequence)) {
    SessionEvent gap{.state = SessionState::gap};
    gap.first = wanted;
    gap.last = kept.sequence - 1;
    return {{kept, released.position, kept.sequence}, {gap}};
  }
  ring::HistoryReader reader(ring);
  if (const Status status = reader.seek(wanted); status != Status::ok)
    refuse_region("the record behind the checkpoint", status);
  return {{reader.place(), released.position, wanted}, {}};
}

Start find_start(const ring::PeerView& ring, ring::Position released_position, const ring::SessionId& session,
                 const std::optional<StreamCheckpoint>& checkpoint) {
  const ring::RecordPlace released = place_of(ring, released_position);
  const ring::RecordPlace end = end_of(ring);
  Start start{{released, released.position, end.sequence}, {}};
  if (checkpoint && checkpoint->session == session) {
    start = start_behind(checkpoint->sequence, ring, released, end);
  } else if (checkpoint) {
    start.events.push_back({.state = SessionState::restarted});
  }
  SessionEvent resumed{.state = SessionState::resumed};
  resumed.first = start.consumer.next.sequence;
  resumed.last = end.sequence - 1;
  start.events.push_back(resumed);
  return start;
}

struct OfferContent {
  SessionInfo info;
  Descriptor region;
  Descriptor pidfd;
  Descriptor old_region;  ///< empty for a new session
};

OfferContent decode_offer(Packet packet) {
  const auto offer = decode_packet<SessionOffer>(packet.bytes);
  if (offer.has_old_region > 1 || offer.epoch == 0)
    throw error(connect_errc::protocol, "handshake: an offer of epoch " + std::to_string(offer.epoch));
  OfferContent content{.info = {offer.session, offer.epoch}, .region = {}, .pidfd = {}, .old_region = {}};
  if (offer.has_old_region == 1) {
    if (packet.descriptors.empty())
      throw error(connect_errc::protocol, "handshake: an offer without descriptors");
    content.old_region = std::move(packet.descriptors.back());
    packet.descriptors.pop_back();
  }
  PeerDescriptors theirs = take_descriptors(packet, offer.has_pidfd);
  content.region = std::move(theirs.region);
  content.pidfd = std::move(theirs.pidfd);
  return content;
}

/// [WELCOME] Waits for it. False if the keeper died instead: then this side has the session.
bool welcomed(PacketSocket& socket, const Descriptor& keeper_pidfd, Deadline deadline) {
  try {
    const Packet packet = socket.receive(deadline);
    if (packet_type(packet.bytes) == HandshakeType::superseded)
      throw error(connect_errc::refused, "the peer has gone on with another process");
    (void)decode_packet<Welcome>(packet.bytes);
    return true;
  } catch (const error& why) {
    if (why.code() != connect_errc::peer_gone) throw;
    if (!keeper_pidfd || !base::wait_for_events(keeper_pidfd.get(), POLLIN, deadline_in(kTimeToEnd))) throw;
    return false;
  }
}

/// A session that has just begun: nothing to go on from.
OpenedSession join_new_session(PacketSocket& socket, OfferContent offer, const SessionPlan& plan,
                               Deadline deadline) {
  auto peer = open_peer_region(std::move(offer.region), offer.info.id, offer.info.epoch, plan.backing());
  ring::OwnedRegion own = make_region(plan.options.port, offer.info.id, offer.info.epoch, plan.own_file);
  send_with_region(socket, SessionAnswer{}, own, deadline);
  (void)decode_packet<Welcome>(socket.receive(deadline).bytes);
  const auto start = ring::ConsumerStart::of(peer->view().header);
  const Credentials credentials = socket.peer_credentials();
  return {{std::move(own), std::move(peer), std::move(socket), std::move(offer.pidfd), credentials},
          true,
          offer.info,
          start,
          {}};
}

/// [COPY]
ring::OwnedRegion continue_region(const ring::PeerView& old, const SessionInfo& next, ring::Position released,
                                  const SessionPlan& plan) {
  ring::RegionOptions region;
  region.session = next.id;
  region.epoch = next.epoch;
  region.features = features(plan.options.port.wait);
  region.file = plan.own_file;
  return ring::OwnedRegion::continue_from(old, region, released);
}

OpenedSession join_old_session(PacketSocket& socket, OfferContent offer, const SessionPlan& plan,
                               Deadline deadline) {
  const ring::SessionId& id = offer.info.id;
  auto peer = std::make_shared<const ring::PeerRegion>(ring::PeerRegion::open(
      std::move(offer.region), id, ring::EpochRange(1, offer.info.epoch), plan.backing()));
  const auto old = ring::PeerRegion::open(std::move(offer.old_region), id,
                                          ring::EpochRange(1, offer.info.epoch), plan.backing());
  const ring::Position released = old.view().control->release.released.load(std::memory_order_acquire);
  Start start = find_start(peer->view(), released, id, plan.options.checkpoint);
  ring::OwnedRegion own = continue_region(old.view(), offer.info, start.consumer.released, plan);
  const Credentials credentials = socket.peer_credentials();
  try {
    send_with_region(socket, SessionAnswer{}, own, deadline);  // [ANSWER]
  } catch (const error& why) {
    if (why.code() != connect_errc::peer_gone) throw;  // what it sent before, if anything, is found below
  }
  const bool connected = welcomed(socket, offer.pidfd, deadline);
  return {{std::move(own), std::move(peer), std::move(socket), std::move(offer.pidfd), credentials},
          connected,
          offer.info,
          start.consumer,
          std::move(start.events)};
}

void add_connected_events(OpenedSession& session, const SessionPlan& plan) {
  if (plan.options.checkpoint) session.events.push_back({.state = SessionState::restarted});
  session.events.push_back({.state = SessionState::connected});
}

}  // namespace

uid_t SessionPlan::peer_user() const noexcept {
  return options.peer_user.value_or(::geteuid());
}

SessionHello decode_hello(const Packet& packet) {
  expect_no_descriptors(packet);
  const auto hello = decode_packet<SessionHello>(packet.bytes);
  check_layout(hello.layout_version, hello.layout_hash);
  return hello;
}

void check_session_options(const SessionOptions& options) {
  check_port_options(options.port);
  const auto positive = [](const char* name, std::chrono::nanoseconds time) {
    if (time <= std::chrono::nanoseconds::zero()) {
      throw error(errc::bad_option,
                  std::string(name) + ": expected more than 0, got " + std::to_string(time.count()) + " ns");
    }
  };
  positive("handshake_timeout", options.handshake_timeout);
  if (options.resume_window < std::chrono::nanoseconds::zero()) {
    throw error(errc::bad_option, "resume_window: expected at least 0, got " +
                                      std::to_string(options.resume_window.count()) + " ns");
  }
}

void send_offer(PacketSocket& socket, const SessionInfo& next, const ring::OwnedRegion& own,
                const ring::PeerRegion* old, Deadline deadline) {
  const Descriptor pidfd = own_pidfd();
  SessionOffer offer;
  offer.session = next.id;
  offer.epoch = next.epoch;
  std::array<int, 3> descriptors{own.descriptor()};
  std::size_t count = 1;
  if (pidfd) {
    offer.has_pidfd = 1;
    descriptors.at(count++) = pidfd.get();
  }
  if (old != nullptr) {
    offer.has_old_region = 1;
    descriptors.at(count++) = old->descriptor();
  }
  socket.send(encode_packet(offer), std::span(descriptors).first(count), deadline);
}

SessionAnswerContent open_answer(Packet packet, const SessionInfo& next, ring::Backing backing) {
  const auto answer = decode_packet<SessionAnswer>(packet.bytes);
  PeerDescriptors theirs = take_descriptors(packet, answer.has_pidfd);
  return {std::make_shared<const ring::PeerRegion>(
              ring::PeerRegion::open(std::move(theirs.region), next.id, next.epoch, backing)),
          std::move(theirs.pidfd)};
}

CopyFloor floor_of(const ring::PeerView& ring) noexcept {
  return {ring.control->tail.tail.load(std::memory_order_acquire),
          ring.control->release.released.load(std::memory_order_acquire)};
}

void check_successor(const ring::PeerView& fresh, const ring::PeerView& old, const ring::PeerView& own,
                     const CopyFloor& floor) {
  if (fresh.header.capacity != old.header.capacity ||
      fresh.header.replay_window != old.header.replay_window) {
    throw error(ring::errc::bad_region, "the peer's new region: expected a ring of " +
                                            std::to_string(old.header.capacity) + " bytes with a window of " +
                                            std::to_string(old.header.replay_window) + ", got " +
                                            std::to_string(fresh.header.capacity) + " and " +
                                            std::to_string(fresh.header.replay_window));
  }
  const CopyFloor now = floor_of(fresh);
  if (before(now.tail, floor.tail)) {
    throw error(ring::errc::bad_region, "the peer's new region: expected a tail of at least " +
                                            std::to_string(floor.tail) + ", got " + std::to_string(now.tail));
  }
  if (before(now.released, floor.released)) {
    throw error(ring::errc::bad_region, "the peer's new region: expected a released position of at least " +
                                            std::to_string(floor.released) + ", got " +
                                            std::to_string(now.released));
  }
  if (const ring::Position end = end_of(fresh).position; end != now.tail) {
    throw error(ring::errc::bad_region, "the peer's new region: expected a tail behind its last record at " +
                                            std::to_string(end) + ", got " + std::to_string(now.tail));
  }
  if (ring::HistoryReader(own).seek_position(now.released) != Status::ok) {
    throw error(ring::errc::bad_region,
                "the peer's new region: expected one of our records at the released position " +
                    std::to_string(now.released));
  }
  // What we receive next has to be what we would have received from the old one.
  const ring::Position own_released = floor_of(own).released;
  const ring::Sequence expected = place_of(old, own_released).sequence;
  if (const ring::Sequence next = place_of(fresh, own_released).sequence; next != expected) {
    throw error(ring::errc::bad_region, "the peer's new region: expected message " +
                                            std::to_string(expected) + " to be the next, got " +
                                            std::to_string(next));
  }
}

OpenedSession begin_session(PacketSocket& socket, const SessionPlan& plan, Deadline deadline) {
  const SessionInfo info{random_session_id(), 1};
  ring::OwnedRegion own = make_region(plan.options.port, info.id, info.epoch, plan.own_file);
  send_offer(socket, info, own, nullptr, deadline);
  Packet packet = socket.receive(deadline);
  const auto answer = decode_packet<SessionAnswer>(packet.bytes);
  PeerDescriptors theirs = take_descriptors(packet, answer.has_pidfd);
  auto peer = open_peer_region(std::move(theirs.region), info.id, info.epoch, plan.backing());
  socket.send(encode_packet(Welcome{}), {}, deadline);
  const auto start = ring::ConsumerStart::of(peer->view().header);
  const Credentials credentials = socket.peer_credentials();
  OpenedSession session{
      {std::move(own), std::move(peer), std::move(socket), std::move(theirs.pidfd), credentials},
      true,
      info,
      start,
      {}};
  add_connected_events(session, plan);
  return session;
}

OpenedSession accept_offer(PacketSocket& socket, Packet packet, const SessionPlan& plan, Deadline deadline) {
  OfferContent offer = decode_offer(std::move(packet));
  if (offer.old_region) return join_old_session(socket, std::move(offer), plan, deadline);
  OpenedSession session = join_new_session(socket, std::move(offer), plan, deadline);
  add_connected_events(session, plan);
  return session;
}

std::optional<StoredSession> find_stored_session(const SessionPlan& plan) {
  if (plan.own_file.empty()) return std::nullopt;
  try {
    StoredSession stored{ring::PeerRegion::open_file(plan.own_file),
                         ring::PeerRegion::open_file(plan.peer_file)};
    const auto closed = [](const ring::PeerRegion& region) {
      return region.view().control->producer_wait.closed.load(std::memory_order_acquire) != 0;
    };
    if (stored.own.view().header.session != stored.peer.view().header.session) return std::nullopt;
    if (closed(stored.own) || closed(stored.peer)) return std::nullopt;
    return stored;
  } catch (const error&) {
    // No files, or such as no session could have left behind: there's nothing to go on from.
    return std::nullopt;
  }
}

OpenedSession go_on_from(const StoredSession& stored, PacketSocket& socket, const SessionPlan& plan,
                         Deadline deadline) {
  const ring::PeerView& old = stored.own.view();
  const ring::PeerView& old_peer = stored.peer.view();
  const SessionInfo next{old.header.session, std::max(old.header.epoch, old_peer.header.epoch) + 1};
  Start start = find_start(old_peer, floor_of(old).released, next.id, plan.options.checkpoint);
  ring::OwnedRegion own = continue_region(old, next, start.consumer.released, plan);
  const CopyFloor floor = floor_of(old_peer);
  send_offer(socket, next, own, &stored.peer, deadline);
  SessionAnswerContent answer = open_answer(socket.receive(deadline), next, plan.backing());
  check_successor(answer.region->view(), old_peer, own.view(), floor);
  socket.send(encode_packet(Welcome{}), {}, deadline);
  const Credentials credentials = socket.peer_credentials();
  return {{std::move(own), std::move(answer.region), std::move(socket), std::move(answer.pidfd), credentials},
          true,
          next,
          start.consumer,
          std::move(start.events)};
}

WaitingMessages waiting_messages(const ring::PeerView& ring, ring::Position released) {
  return {place_of(ring, released).sequence, end_of(ring).sequence - 1};
}

}  // namespace sluice::ipc
