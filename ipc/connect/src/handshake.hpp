// One handshake, on either side: from a connected socket to two mapped regions. The packets are in
// handshake_messages.hpp, the guarantees in docs/resume.md; the tags in brackets are those of the model in
// tests/model/resume.pml.
//
//   keeper: has the session's state                joiner: goes on from the region of its predecessor, if any
//     stops believing the old peer    [FENCE]
//     tells it, if it may live        [SUPERSEDE]
//     own region, old peer's region   [OFFER]   --->  a new region with what the old one holds     [COPY]
//     takes the new region            [ADOPT]   <---  hands it over                                [ANSWER]
//                                     [WELCOME] --->  works
//
// The steps of the two sides, and who they are from then on:
//
//   host       hello ----+-----------------> answer ---> done      keeper
//                        +---> offer -------> welcome --> done      joiner, if the connector has the state
//   connector  request --------------------> answer ---> done       keeper, if it has the state
//              offer ----------------------> welcome --> done       joiner
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "handshake_messages.hpp"
#include "port_impl.hpp"
#include "resumption.hpp"
#include "seqpacket.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {

/// How long a process that was killed, or has hung up, may take to end and to leave its name.
constexpr std::chrono::seconds kTimeToEnd{1};

/// Tells the other side why it is refused; it may be gone already.
void try_refuse(int socket, const error& why) noexcept;

/// What a keeper offers. The regions must stay until adopt().
struct Keeping {
  SessionInfo next;
  const ring::OwnedRegion* own = nullptr;
  const ring::PeerRegion* old = nullptr;  ///< what the joiner goes on from; null for a new session
};

/// Driven by readiness, so that several go on at once and nothing blocks. Thread-safety: none. The derived
/// class knows what this side has: it makes regions, and takes the peer's.
class Handshake {
 public:
  /// The packet that is waited for, unless it is `done`.
  enum class Step : std::uint8_t { hello, request, offer, answer, welcome, done };

  /// The host's side, unless say_hello() follows. `state`: the session whose state this side has. `timeout`:
  /// for the whole handshake, beside what large rings take, but begun anew by a keeper who had to wait for the
  /// host's request.
  Handshake(base::PeerSocket socket, ConnectionKind kind, const std::optional<SessionInfo>& state,
            ring::Backing backing, std::chrono::nanoseconds timeout);
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;
  virtual ~Handshake() = default;

  /// Makes this the connector's side. `end_is_owned`: another living process owns the connector's end.
  void say_hello(bool end_is_owned = false);

  /// Goes on as far as the packets that have come allow. True once the connection stands; throws when the
  /// other side broke a rule, hung up, refused or took too long; it has then been told why.
  bool advance();

  /// To be polled for POLLIN.
  int fd() const noexcept { return socket_.get(); }
  Deadline deadline() const noexcept { return deadline_; }
  Step step() const noexcept { return step_; }

 protected:
  /// The connection, for adopt() and joined() to take. As long as they leave it the other side is told what
  /// they throw.
  base::PeerSocket& socket() noexcept { return socket_; }
  /// Both sides give the joiner more time for large rings, which it makes, reads and copies.
  void allow_for(std::uint64_t ring_bytes) noexcept;

 private:
  /// In words, who keeps a connector out that may not replace it; empty: nobody. `is_owned`: the connector
  /// says that another process owns its end.
  virtual std::string owner_of_its_end(bool /*is_owned*/) const { return {}; }
  /// [FENCE] [SUPERSEDE]
  virtual Keeping keep() = 0;
  /// [ADOPT], then [WELCOME].
  virtual void adopt(std::shared_ptr<const ring::PeerRegion> peer, Descriptor peer_pidfd) = 0;
  /// [COPY] The region to answer with, which must stay until joined(). `old` is null for a new session.
  /// Descriptors are taken once they have turned out to be regions.
  virtual const ring::OwnedRegion& join(const SessionInfo& session, Descriptor& region, Descriptor* old) = 0;
  /// Without a living keeper this side has the session's state.
  virtual void joined(Descriptor keeper_pidfd, bool keeper_lives) = 0;

  void take(Packet packet);
  void take_hello(const Packet& packet);
  void offer();
  void take_offer(Packet packet);
  void take_answer(Packet packet);
  void take_welcome(const Packet& packet);
  std::optional<Packet> receive();
  template <typename Kind>
  void send(const Kind& packet, std::span<const int> descriptors = {});
  template <typename Kind>
  void send_with_regions(Kind packet, const ring::OwnedRegion& own, const ring::PeerRegion* old);

  base::PeerSocket socket_;
  ConnectionKind kind_;
  std::optional<SessionInfo> state_;
  ring::Backing backing_;
  std::chrono::nanoseconds timeout_;
  Deadline deadline_;
  Step step_ = Step::hello;
  Keeping keeping_;        // from the step `answer` on
  CopyFloor floor_;        // what the old region said when the fence was up
  bool resumes_ = false;   // a joiner that went on from an old region: it can do without the keeper
  Descriptor peer_pidfd_;  // a joiner's keeper
};

}  // namespace sluice::ipc
