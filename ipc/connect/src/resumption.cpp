#include "resumption.hpp"

#include <atomic>
#include <functional>
#include <string>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/error.hpp"
#include "sluice/ring/history.hpp"

namespace sluice::ipc {
namespace {

using ring::before;

[[noreturn]] void refuse_region(const char* what, Status status) {
  if (status == Status::timed_out)
    throw error(errc::timed_out, "resuming a session: the peer's ring couldn't be read in time");
  throw error(ring::errc::bad_region, "resuming a session: expected " + std::string(what) +
                                          " in the peer's ring, got a record that is " +
                                          std::string(to_string(status)));
}

ring::HistoryReader reader_of(const ring::PeerView& ring, Deadline deadline) {
  ring::HistoryReader reader(ring);
  reader.give_up_at(deadline);
  return reader;
}

/// Where `seek(reader)` leads: to `what`.
template <typename Seek>
ring::RecordPlace find(const ring::PeerView& ring, Deadline deadline, const char* what, Seek seek) {
  ring::HistoryReader reader = reader_of(ring, deadline);
  if (const Status status = seek(reader); status != Status::ok) refuse_region(what, status);
  return reader.place();
}

ring::RecordPlace place_of(const ring::PeerView& ring, ring::Position released, Deadline deadline) {
  return find(ring, deadline, "the record at the released position",
              [released](ring::HistoryReader& reader) { return reader.seek_position(released); });
}

ring::RecordPlace end_of(const ring::PeerView& ring, Deadline deadline) {
  return find(ring, deadline, "records up to the tail", std::mem_fn(&ring::HistoryReader::seek_end));
}

/// The first record that stays readable until something new is released.
ring::RecordPlace first_kept(const ring::PeerView& ring, ring::Position released, Deadline deadline) {
  ring::HistoryReader reader = reader_of(ring, deadline);
  const Status status = reader.seek_position(released - ring.header.replay_window);
  // overwritten, broken: that is no boundary, and the reader stands at the first one behind it.
  if (status == Status::would_block || status == Status::timed_out ||
      before(released, reader.place().position))
    refuse_region("the replay window", status);
  return reader.place();
}

/// Behind what the application says it has handled, or, if that is no longer there, at the first record
/// that is.
Start start_behind(ring::Sequence handled, const ring::PeerView& ring, const ring::RecordPlace& released,
                   const ring::RecordPlace& end, Deadline deadline) {
  const ring::Sequence wanted = handled + 1;
  if (before(end.sequence, wanted)) {
    throw error(checkpoint_errc::bad_checkpoint,
                "resuming a session: expected a checkpoint of at most message " +
                    std::to_string(end.sequence - 1) + ", got " + std::to_string(handled));
  }
  const bool again = before(wanted, released.sequence);
  if (again) {
    const ring::RecordPlace kept = first_kept(ring, released.position, deadline);
    if (before(wanted, kept.sequence)) {
      return {{kept, released.position, kept.sequence},
              {{.state = SessionState::gap, .first = wanted, .last = kept.sequence - 1}}};
    }
  }
  const ring::RecordPlace next = find(ring, deadline, "the record behind the checkpoint",
                                      [wanted](ring::HistoryReader& reader) { return reader.seek(wanted); });
  return {{next, again ? released.position : next.position, wanted}, {}};
}

}  // namespace

Start find_start(const ring::PeerView& ring, ring::Position released_position, const ring::SessionId& session,
                 const std::optional<StreamCheckpoint>& checkpoint, Deadline deadline) {
  const ring::RecordPlace released = place_of(ring, released_position, deadline);
  const ring::RecordPlace end = end_of(ring, deadline);
  Start start{{released, released.position, end.sequence}, {}};
  if (checkpoint && checkpoint->session == session) {
    start = start_behind(checkpoint->sequence, ring, released, end, deadline);
  } else if (checkpoint) {
    start.events.push_back({.state = SessionState::restarted});
  }
  start.events.push_back(
      {.state = SessionState::resumed, .first = start.consumer.next.sequence, .last = end.sequence - 1});
  return start;
}

CopyFloor floor_of(const ring::PeerView& ring) noexcept {
  return {ring.control->tail.tail.load(std::memory_order_acquire),
          ring.control->release.released.load(std::memory_order_acquire)};
}

void check_unused(int offered, int used) {
  if (!base::is_same_file(offered, used)) return;
  throw error(ring::errc::bad_region,
              "the peer's region: expected one of its own, got one that is in use already");
}

void check_same_size(const ring::RegionHeader& fresh, const ring::RegionHeader& old) {
  if (fresh.capacity == old.capacity && fresh.replay_window == old.replay_window) return;
  throw error(ring::errc::bad_region,
              "the peer's new region: expected a ring of " + std::to_string(old.capacity) +
                  " bytes with a window of " + std::to_string(old.replay_window) + ", got " +
                  std::to_string(fresh.capacity) + " and " + std::to_string(fresh.replay_window));
}

void check_successor(const ring::PeerView& fresh, const ring::PeerView& old, const ring::PeerView& own,
                     const CopyFloor& floor, Deadline deadline) {
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
  if (const ring::Position end = end_of(fresh, deadline).position; end != now.tail) {
    throw error(ring::errc::bad_region, "the peer's new region: expected a tail behind its last record at " +
                                            std::to_string(end) + ", got " + std::to_string(now.tail));
  }
  if (reader_of(own, deadline).seek_position(now.released) != Status::ok) {
    throw error(ring::errc::bad_region,
                "the peer's new region: expected one of our records at the released position " +
                    std::to_string(now.released));
  }
  // What we receive next has to be what we would have received from the old one.
  const ring::Position own_released = floor_of(own).released;
  const ring::Sequence expected = place_of(old, own_released, deadline).sequence;
  if (const ring::Sequence next = place_of(fresh, own_released, deadline).sequence; next != expected) {
    throw error(ring::errc::bad_region, "the peer's new region: expected message " +
                                            std::to_string(expected) + " to be the next, got " +
                                            std::to_string(next));
  }
}

std::optional<StoredSession> find_stored_session(const std::filesystem::path& own_file,
                                                 const std::filesystem::path& peer_file) {
  if (own_file.empty()) return std::nullopt;
  try {
    StoredSession stored{ring::PeerRegion::open_file(own_file), ring::PeerRegion::open_file(peer_file)};
    const auto closed = [](const ring::PeerRegion& region) {
      return region.view().control->producer_wait.closed.load(std::memory_order_acquire) != 0;
    };
    if (stored.own.view().header.session != stored.peer.view().header.session) return std::nullopt;
    if (closed(stored.own) || closed(stored.peer)) return std::nullopt;
    return stored;
  } catch (const error& why) {
    // No files, or such as no session could have left behind: there's nothing to go on from. Whatever else
    // it is, a session may be there.
    if (why.code() == std::errc::no_such_file_or_directory || why.code() == ring::errc::bad_region ||
        why.code() == ring::errc::bad_version)
      return std::nullopt;
    throw;
  }
}

SessionEvent resumed_at(ring::Position released, const ring::PeerView& ring, Deadline deadline) {
  return {.state = SessionState::resumed,
          .first = place_of(ring, released, deadline).sequence,
          .last = end_of(ring, deadline).sequence - 1};
}

}  // namespace sluice::ipc
