// How the two sides of a session find each other again. The packets are in handshake_messages.hpp, the steps
// in docs/resume.md; the tags in brackets are those of the model in tests/model/resume.pml.
//
//   keeper: has the session's state                joiner: goes on from the region of its predecessor
//     stops believing the old peer    [FENCE]
//     tells it, if it may live        [SUPERSEDE]
//     own region, old peer's region   [OFFER]   --->  a new region with what the old one holds     [COPY]
//     takes the new region            [ADOPT]   <---  hands it over                                [ANSWER]
//                                     [WELCOME] --->  works
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "handshake_parts.hpp"
#include "port_impl.hpp"
#include "sluice/ipc/connect/session.hpp"

namespace sluice::ipc {

/// How long a process that was killed, or has hung up, may take to end and to leave its name.
constexpr std::chrono::seconds kTimeToEnd{1};

/// One side of a session at the moment when it can begin to work.
struct OpenedSession {
  Connection connection;
  bool connected = false;  ///< false: the keeper died while this side joined, which is the keeper now
  SessionInfo info;
  ring::ConsumerStart start;
  std::vector<SessionEvent> events;  ///< to be told, in order
};

/// What one side of a session is to be.
struct SessionPlan {
  SessionOptions options;
  std::filesystem::path own_file;   ///< where this side's region is kept; empty: anonymous memory
  std::filesystem::path peer_file;  ///< where the peer keeps its own, likewise

  ring::Backing backing() const noexcept {
    return own_file.empty() ? ring::Backing::sealed_memory : ring::Backing::file;
  }
  /// Whose processes may be the peer.
  uid_t peer_user() const noexcept;
};

/// Throws errc::bad_option for options that no session can have.
void check_session_options(const SessionOptions& options);

/// Checks everything in a hello but what the state it speaks of is good for.
SessionHello decode_hello(const Packet& packet);

/// [OFFER] Sends this side's region and, unless the session is new, the one that the joiner goes on from.
void send_offer(PacketSocket& socket, const SessionInfo& next, const ring::OwnedRegion& own,
                const ring::PeerRegion* old, Deadline deadline);

/// [ADOPT] Maps the region that a joiner answers with.
struct SessionAnswerContent {
  std::shared_ptr<const ring::PeerRegion> region;
  Descriptor pidfd;
};
SessionAnswerContent open_answer(Packet packet, const SessionInfo& next, ring::Backing backing);

/// What the words of a ring said at least when the joiner began to copy it.
struct CopyFloor {
  ring::Position tail = 0;
  ring::Position released = 0;
};
CopyFloor floor_of(const ring::PeerView& ring) noexcept;
/// Throws ring::errc::bad_region unless `fresh`, which its owner doesn't write yet, goes on with the ring of
/// `old`: it takes nothing back, its records are whole and carry the same numbers, and it has released
/// records of `own`.
void check_successor(const ring::PeerView& fresh, const ring::PeerView& old, const ring::PeerView& own,
                     const CopyFloor& floor);

// These take `socket` over where they succeed; where they throw, the caller may still say why.

/// The keeper's side of a new session, behind the hello. Throws what connect() documents.
OpenedSession begin_session(PacketSocket& socket, const SessionPlan& plan, Deadline deadline);

/// The joiner's side, from the offer on. Throws what connect() documents, and
/// checkpoint_errc::bad_checkpoint.
OpenedSession accept_offer(PacketSocket& socket, Packet packet, const SessionPlan& plan, Deadline deadline);

/// What both sides left in their files.
struct StoredSession {
  ring::PeerRegion own;
  ring::PeerRegion peer;
};
/// Nothing where there are no files, or none of one session that could go on.
std::optional<StoredSession> find_stored_session(const SessionPlan& plan);

/// The keeper's side of a session that was found in files, behind the hello.
OpenedSession go_on_from(const StoredSession& stored, PacketSocket& socket, const SessionPlan& plan,
                         Deadline deadline);

/// The messages of a ring from `released` on that are there now.
struct WaitingMessages {
  ring::Sequence first;
  ring::Sequence last;  ///< first - 1 if there are none
};
/// Throws ring::errc::bad_region where no record starts at `released`.
WaitingMessages waiting_messages(const ring::PeerView& ring, ring::Position released);

}  // namespace sluice::ipc
