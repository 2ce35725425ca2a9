#include "resumption.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <string>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/quoted_text.hpp"
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
  // Not by distance: what is beyond by far is no number from long ago.
  if (handled >= end.sequence) {
    throw error(checkpoint_errc::bad_checkpoint,
                "resuming a session: expected a checkpoint of at most message " +
                    std::to_string(end.sequence - 1) + ", got " + std::to_string(handled));
  }
  const ring::Sequence wanted = handled + 1;
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

std::optional<ring::PeerRegion> open_if_there(const std::filesystem::path& file) {
  try {
    return ring::PeerRegion::open_file(file);
  } catch (const error& why) {
    if (why.code() == std::errc::no_such_file_or_directory) return std::nullopt;
    throw;
  }
}

bool is_closed(const ring::PeerRegion& region) {
  return region.view().control->producer_wait.closed.load(std::memory_order_acquire) != 0;
}

[[noreturn]] void refuse_files(const std::string& what) {
  throw error(ring::errc::bad_region, what);
}

/// Two regions belong together if each was the other's, or if one was made to go on with the other, and its
/// owner died before the other side knew it.
void check_pair(const ring::PeerView& own, const ring::PeerView& peer, ring::RegionEnd own_end) {
  const ring::RegionEnd peer_end =
      own_end == ring::RegionEnd::host ? ring::RegionEnd::join : ring::RegionEnd::host;
  if (own.header.end != own_end || peer.header.end != peer_end) refuse_files("the files are exchanged");
  if (own.header.session != peer.header.session) refuse_files("the files are of two sessions");
  const auto boot = checkpoint_moment().boot;
  if (own.header.boot != boot || peer.header.boot != boot)
    refuse_files("they are from before the machine was started again");
  const auto knows = [](const ring::PeerView& one, const ring::PeerView& other) {
    const std::uint64_t known = one.control->session_peer.epoch.load(std::memory_order_relaxed);
    return known == other.header.epoch ? 0 : known < other.header.epoch ? -1 : 1;
  };
  const int own_knows = knows(own, peer);
  const int peer_knows = knows(peer, own);
  if (own_knows > 0 || peer_knows > 0 || (own_knows < 0 && peer_knows < 0))
    refuse_files("one of the files is older than the other");
}

/// The records that one side left, as far as the other has to go on with them.
void check_direction(const ring::PeerView& ring, const ring::PeerView& reader) {
  const ring::ControlPage& words = *ring.control;
  const ring::Position tail = words.tail.tail.load(std::memory_order_acquire);
  const ring::Sequence tail_sequence = words.tail.tail_sequence.load(std::memory_order_relaxed);
  const ring::RecordPlace end = end_of(ring, kNoDeadline);
  const ring::RecordPlace oldest = ring::HistoryReader(ring).oldest();
  if (before(tail, ring.header.first_position) || before(tail_sequence, ring.header.first_sequence) ||
      before(end.position, tail) || before(end.sequence, tail_sequence) ||
      (end.position == tail && end.sequence != tail_sequence) ||
      words.history.oldest.load(std::memory_order_relaxed) != oldest.position ||
      end.position - oldest.position > ring.header.capacity - ring::kRecordHeaderBytes)
    refuse_files("records and positions contradict each other");
  const ring::Position released = reader.control->release.released.load(std::memory_order_acquire);
  (void)place_of(ring, released, kNoDeadline);
  const ring::Position seen = reader.control->consumer_wait.wait_position.load(std::memory_order_relaxed);
  if (before(end.position, seen)) refuse_files("records are missing that were received");
}

}  // namespace

std::chrono::nanoseconds time_for(std::uint64_t ring_bytes) noexcept {
  constexpr std::uint64_t kBytesAMillisecond = 32U << 10U;
  return std::chrono::milliseconds(ring_bytes / kBytesAMillisecond);
}

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

void check_ring_file(const std::filesystem::path& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    throw_errno("looking up " + base::quoted_text(file.native()));
  }
  if (S_ISREG(info.st_mode) && info.st_uid == ::geteuid() && info.st_nlink == 1) return;
  throw error(errc::unsafe_place, "the region in " + base::quoted_text(file.native()) +
                                      ": expected a regular file of user " + std::to_string(::geteuid()) +
                                      " with one name");
}

StoredFiles find_stored_session(const std::filesystem::path& own_file, const std::filesystem::path& peer_file,
                                ring::RegionEnd own_end) {
  if (own_file.empty()) return {};
  const auto not_this = [](const std::string& why) {
    return StoredFiles{std::nullopt, "what was stored is no session that can be gone on with: " + why};
  };
  try {
    std::optional<ring::PeerRegion> own = open_if_there(own_file);
    std::optional<ring::PeerRegion> peer = open_if_there(peer_file);
    if (!own && !peer) return {};
    if (!own || !peer) return not_this((own ? peer_file : own_file).string() + " is missing");
    if (is_closed(*own) || is_closed(*peer)) return {};
    check_pair(own->view(), peer->view(), own_end);
    check_direction(own->view(), peer->view());
    check_direction(peer->view(), own->view());
    return {StoredSession{std::move(*own), std::move(*peer)}, {}};
  } catch (const error& why) {
    // Whatever else it is, a session may be there.
    if (why.code() != ring::errc::bad_region) throw;
    return not_this(why.detail());
  }
}

SessionEvent resumed_at(ring::Position released, const ring::PeerView& ring, Deadline deadline) {
  return {.state = SessionState::resumed,
          .first = place_of(ring, released, deadline).sequence,
          .last = end_of(ring, deadline).sequence - 1};
}

}  // namespace sluice::ipc
