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

#include <cstdint>
#include <memory>
#include <vector>

#include "handshake_parts.hpp"
#include "port_impl.hpp"
#include "sluice/ipc/session.hpp"

namespace sluice::detail {

/// One side of a session at the moment when it can begin to work.
struct OpenedSession {
  Connection connection;
  bool connected = false;  ///< false: the keeper died while this side joined, which is the keeper now
  SessionInfo info;
  ring::ConsumerStart start;
  std::vector<SessionEvent> events;  ///< to be told, in order
};

/// Throws errc::bad_option for options that no session can have.
void check_session_options(const SessionOptions& options);

/// [OFFER] Sends this side's region and, unless the session is new, the one that the joiner goes on from.
void send_offer(PacketSocket& socket, const SessionInfo& next, const ring::OwnedRegion& own,
                const ring::PeerRegion* old, Deadline deadline);

/// [ADOPT] Maps the region that a joiner answers with.
struct SessionAnswerContent {
  std::shared_ptr<const ring::PeerRegion> region;
  Descriptor pidfd;
};
SessionAnswerContent open_answer(Packet packet, const SessionInfo& next);

// Both of these take `socket` over where they succeed; where they throw, the caller may still say why.

/// The keeper's side of a new session, behind the hello. Throws what connect() documents.
OpenedSession begin_session(PacketSocket& socket, const SessionOptions& options, Deadline deadline);

/// The joiner's side, from the offer on. Throws what connect() documents, and errc::bad_checkpoint.
OpenedSession accept_offer(PacketSocket& socket, Packet offer, const SessionOptions& options,
                           Deadline deadline);

/// The messages of a ring from `released` on that are there now.
struct WaitingMessages {
  ring::Sequence first;
  ring::Sequence last;  ///< first - 1 if there are none
};
/// Throws errc::bad_region where no record starts at `released`.
WaitingMessages waiting_messages(const ring::PeerView& ring, ring::Position released);

}  // namespace sluice::detail
