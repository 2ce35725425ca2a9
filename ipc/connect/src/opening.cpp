#include "opening.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "port_regions.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice::ipc {

uid_t Plan::peer_user() const noexcept {
  return options.peer_user.value_or(::geteuid());
}

void check_handshake_timeout(std::chrono::nanoseconds timeout) {
  if (timeout <= std::chrono::nanoseconds::zero()) {
    throw error(errc::bad_option,
                "handshake_timeout: expected more than 0, got " + std::to_string(timeout.count()) + " ns");
  }
}

Opening::Opening(base::PeerSocket socket, const Plan& plan, const StoredSession* stored,
                 std::chrono::nanoseconds timeout, std::optional<Opened>& result, std::function<void()> begin)
    : Handshake(std::move(socket), plan.kind, std::nullopt, plan.backing(), timeout),
      plan_(plan),
      stored_(stored),
      result_(result),
      begin_(std::move(begin)) {
  allow_for(plan.options.port.ring_bytes);
}

/// The options of a region that takes its place among those of its session.
ring::RegionOptions Opening::with_place(ring::RegionOptions region, std::uint64_t peer_epoch) const {
  region.file = plan_.own_file;
  region.peer_epoch = peer_epoch;
  region.end = plan_.end;
  if (plan_.end != ring::RegionEnd::none) region.boot = checkpoint_moment().boot;
  region.before_naming = [owner = plan_.owner] {
    if (owner != nullptr && owner->was_replaced())
      throw error(connect_errc::refused, "the peer has gone on with another process");
  };
  return region;
}

void Opening::begin_anew(const SessionInfo& session, const std::string& why) {
  info_ = session;
  own_ = ring::OwnedRegion::create(with_place(region_options(plan_.options.port, session), session.epoch));
  start_.emplace();
  if (plan_.options.checkpoint) start_->events.push_back({.state = SessionState::restarted});
  start_->events.push_back({.state = SessionState::connected, .text = why});
}

/// [COPY] `old` is the region of this side's predecessor, `peer` the ring that it received from.
void Opening::go_on_from(const ring::PeerView& old, const ring::PeerView& peer, const SessionInfo& session) {
  allow_for(old.header.capacity);
  allow_for(peer.header.capacity);
  info_ = session;
  const ring::Position released = floor_of(old).released;
  start_ = find_start(peer, released, session.id, plan_.options.checkpoint, deadline());
  const auto region = with_place(region_options(plan_.options.port, session), peer.header.epoch);
  own_ = ring::OwnedRegion::continue_from(old, region, start_->consumer.released, deadline());
}

std::string Opening::owner_of_its_end(bool is_owned) const {
  return is_owned && !plan_.options.replace_living_peer ? "another process" : "";
}

Keeping Opening::keep() {
  if (stored_ == nullptr) {
    begin_anew(new_session(), plan_.why_anew);
    return {info_, &*own_, nullptr};
  }
  const ring::PeerView& old = stored_->own.view();
  const ring::PeerView& peer = stored_->peer.view();
  go_on_from(old, peer, {old.header.session, std::max(old.header.epoch, peer.header.epoch) + 1});
  return {info_, &*own_, &stored_->peer};
}

void Opening::adopt(std::shared_ptr<const ring::PeerRegion> peer, Descriptor peer_pidfd) {
  if (stored_ == nullptr) start_->consumer = ring::ConsumerStart::of(peer->view().header);
  peer_ = std::move(peer);
  // Relaxed: read by whoever finds the region in its file.
  own_->view().control->session_peer.epoch.store(peer_->view().header.epoch, std::memory_order_relaxed);
  const int to_peer = socket().get();  // the result's from now on
  joined(std::move(peer_pidfd), true);
  try {
    send_packet(to_peer, encode_packet(Welcome{}), {}, deadline());
  } catch (const error&) {
    result_.reset();
    throw;
  }
}

const ring::OwnedRegion& Opening::join(const SessionInfo& session, Descriptor& region, Descriptor* old) {
  // Whoever owns this end, the offer is the consent to replace it.
  if (plan_.owner != nullptr && !plan_.owner->owned()) plan_.owner->take_over();
  if (old == nullptr) {
    const StoredFiles stored = find_stored_session(plan_.own_file, plan_.peer_file, plan_.end);
    if (stored.session) {
      throw error(connect_errc::refused, "the host begins a new session, and another is kept in " +
                                             base::quoted_text(plan_.own_file.parent_path().native()));
    }
    peer_ = std::make_shared<const ring::PeerRegion>(ring::PeerRegion::open(
        std::move(region), session.id, session.epoch, plan_.backing(), check_new_ring));
    // The host has made its file already: if this side has none, there was nothing.
    begin_anew(session, std::filesystem::exists(plan_.own_file) ? stored.why_none : "");
    start_->consumer = ring::ConsumerStart::of(peer_->view().header);
  } else {
    const ring::EpochRange epochs(1, session.epoch);
    peer_ = std::make_shared<const ring::PeerRegion>(
        ring::PeerRegion::open(std::move(region), session.id, epochs, plan_.backing()));
    const auto accept = [this, offered = old->get()](const ring::RegionHeader& header) {
      check_unused(offered, peer_->descriptor());
      // What the peer says is ours may be of any size, unless it is trusted.
      if (plan_.backing() == ring::Backing::file) return;
      if (const std::uint64_t most = plan_.options.port.ring_bytes; header.capacity > most) {
        throw error(ring::errc::bad_region, "the peer's region: expected a ring of at most the " +
                                                std::to_string(most) + " bytes that are wanted here, got " +
                                                std::to_string(header.capacity));
      }
    };
    const auto mine = ring::PeerRegion::open(std::move(*old), session.id, epochs, plan_.backing(), accept);
    go_on_from(mine.view(), peer_->view(), session);
  }
  return *own_;
}

void Opening::joined(Descriptor peer_pidfd, bool peer_lives) {
  const PeerIdentity identity = ipc::peer_identity(socket().get());
  result_.emplace(
      Opened{{std::move(*own_), std::move(peer_), std::move(socket()), std::move(peer_pidfd), identity},
             peer_lives,
             info_,
             start_->consumer,
             std::move(start_->events)});
  begin_();
}

Opened knock(const std::filesystem::path& path, uid_t host_user, const Plan& plan,
             std::chrono::nanoseconds handshake_timeout, Deadline deadline, std::string_view hint) {
  base::PeerSocket socket = connect_until(path, host_user, deadline, hint);
  const auto left =
      std::min<std::chrono::nanoseconds>(handshake_timeout, deadline - std::chrono::steady_clock::now());
  std::optional<Opened> opened;
  Opening opening(std::move(socket), plan, nullptr, left, opened);
  opening.say_hello(plan.owner != nullptr && !plan.owner->try_to_own());
  while (!opening.advance()) base::wait_for_events(opening.fd(), POLLIN, opening.deadline());
  return std::move(*opened);
}

}  // namespace sluice::ipc
