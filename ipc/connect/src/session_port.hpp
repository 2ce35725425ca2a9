// A port whose peer can be replaced: what the application's threads and the session's own thread share.
//
// The session's thread watches the peer, and joins the next one when it is gone. It never touches the two
// ring ends: it interrupts them, and each goes on with the new peer on the application's own thread, at its
// next call or out of its present wait (follow_peer_*). Between [FENCE] and [ADOPT] an end stays interrupted:
// it uses nothing that it reads from the old peer's region.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "listening_socket.hpp"
#include "port_impl.hpp"
#include "session_handshake.hpp"

namespace sluice::ipc {

/// Where this side meets its peer.
struct MeetingPlace {
  std::filesystem::path path;
  std::optional<ListeningSocket> listener;  ///< the host's; empty for the side that joins
};

class SessionPort final : public PortImpl {
 public:
  SessionPort(OpenedSession opened, SessionPlan plan, MeetingPlace place);
  ~SessionPort() override;

  /// Tells the events of the opening, and starts the session's thread. Once, right after construction.
  void run_session();

  ring::HistoryReader history() const noexcept override;
  PeerIdentity peer() const noexcept override;
  std::optional<SessionInfo> session() const noexcept override;
  void finish() noexcept override;

 private:
  /// A process at the other end of a handshake.
  struct Candidate {
    enum class Stage {
      says_hello,         ///< host: the hello is to come
      waits_for_vacancy,  ///< host: it has said hello; the present peer may be about to end
      asks,               ///< connector: the host's request is to come
      answers,            ///< the offer is out
    };
    PacketSocket socket;
    Stage stage;
    Deadline deadline;
  };

  // On the application's threads.
  void follow_peer_sending() noexcept override;
  void follow_peer_receiving() noexcept override;
  Status wait_for_peer(Deadline deadline) noexcept override;
  void hang_up() noexcept override;
  void stop_thread() noexcept;

  // On the session's thread: session_thread.cpp.
  void run() noexcept;
  void step();
  void wait_for_something();
  bool stopped() const noexcept;
  void look_at_peer();
  bool peer_hung_up();
  void peer_ended();
  void tell_closed_here();
  void end(Status reason, const std::string& text);
  void tell(SessionEvent event);
  SessionEvent resumed_with(const ring::PeerView& fresh) const;
  void look_for_candidate();
  void accept_candidate();
  void connect_to_host();
  void advance_candidate();
  void take_packet(Packet packet);
  void take_hello(const Packet& packet);
  void offer();
  void adopt(Packet packet);
  void drop_candidate(const error& why);
  void set_fenced(bool fenced);

  const SessionPlan plan_;
  const std::uint32_t own_features_;
  MeetingPlace place_;  // the session's thread
  Descriptor stop_;     // written once, by hang_up()

  mutable std::mutex mutex_;  // guards connection_'s peer, socket, pidfd, credentials; info_; fenced_
  std::condition_variable peer_settled_;
  SessionInfo info_;
  bool fenced_ = false;

  // The mappings that the two ends use: each its own thread's.
  std::shared_ptr<const ring::PeerRegion> sending_to_;
  std::shared_ptr<const ring::PeerRegion> receiving_from_;

  // The session's thread only.
  std::vector<SessionEvent> opening_events_;
  bool connected_;
  bool ended_ = false;
  Deadline keep_until_ = kNoDeadline;  // while not connected
  std::optional<Candidate> candidate_;
  Deadline look_again_at_{};
  std::chrono::milliseconds pause_{1};
  CopyFloor floor_;  // what the old peer's words said when the fence went up
  std::thread thread_;
};

}  // namespace sluice::ipc
