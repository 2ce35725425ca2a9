// What a ring that somebody left says about going on from it: where a consumer goes on, whether a successor
// may be believed, what files still hold. No packets; see docs/resume.md.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sluice/ipc/checkpoint/checkpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice/ring/consumer.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ipc {

/// How long it may take to make, read and copy a ring, on a machine that has much else to do.
std::chrono::nanoseconds time_for(std::uint64_t ring_bytes) noexcept;

/// What a joiner's consumer begins with, and what its application is told.
struct Start {
  ring::ConsumerStart consumer;
  std::vector<SessionEvent> events;
};
/// From the peer's ring and the position that the predecessor had released there. Throws
/// ring::errc::bad_region, checkpoint_errc::bad_checkpoint, errc::timed_out.
Start find_start(const ring::PeerView& ring, ring::Position released, const ring::SessionId& session,
                 const std::optional<StreamCheckpoint>& checkpoint, Deadline deadline);

/// What the words of a ring said at least when the joiner began to copy it.
struct CopyFloor {
  ring::Position tail = 0;
  ring::Position released = 0;
};
CopyFloor floor_of(const ring::PeerView& ring) noexcept;

/// Throws ring::errc::bad_region if a region that was offered is one that is in use already: the peer would
/// have this side talk to itself.
void check_unused(int offered, int used);

/// Throws ring::errc::bad_region unless the rings have the same size and replay window.
void check_same_size(const ring::RegionHeader& fresh, const ring::RegionHeader& old);

/// Throws ring::errc::bad_region unless `fresh`, which its owner doesn't write yet, goes on with the ring of
/// `old`, which has the same size: it takes nothing back, its records are whole and carry the same numbers,
/// and it has released records of `own`.
void check_successor(const ring::PeerView& fresh, const ring::PeerView& old, const ring::PeerView& own,
                     const CopyFloor& floor, Deadline deadline);

/// Tells of the messages of a ring from `released` on that are there now. Throws ring::errc::bad_region if no
/// record starts there.
SessionEvent resumed_at(ring::Position released, const ring::PeerView& ring, Deadline deadline);

/// What both sides left in their files.
struct StoredSession {
  ring::PeerRegion own;
  ring::PeerRegion peer;
};
struct StoredFiles {
  std::optional<StoredSession> session;
  std::string why_none;  ///< in words, if there is no session, but something that could have been one
};
/// What both sides left. Files that were damaged, replaced by older ones or exchanged, or are from before the
/// machine was started again, are no session: what they say of each other is checked. Throws if that can't be
/// found out: for want of descriptors or memory, for another version's files; errc::unsafe_place for what is
/// no file of this user's.
StoredFiles find_stored_session(const std::filesystem::path& own_file, const std::filesystem::path& peer_file,
                                ring::RegionEnd own_end);

/// Throws errc::unsafe_place unless this is a regular file of this user's with no other name, or nothing.
void check_ring_file(const std::filesystem::path& file);

}  // namespace sluice::ipc
