// A port whose peer can be replaced: what the application's threads and the session's own thread share.
//
// The session's thread watches the peer, and joins the next one when it is gone. It never touches the two
// ring ends: it interrupts them, and each goes on with the new peer on the application's own thread, at its
// next call or out of its present wait (follow_peer_*). Between [FENCE] and [ADOPT] an end stays interrupted:
// it uses nothing that it reads from the old peer's region.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "listening_socket.hpp"
#include "opening.hpp"
#include "port_impl.hpp"
#include "reception.hpp"
#include "session_end.hpp"
#include "sluice/base/detail/event.hpp"

namespace sluice::ipc {

/// Where this side meets its peer.
struct MeetingPlace {
  std::filesystem::path path;
  std::unique_ptr<SessionEnd> end;          ///< owned, until the session has ended here
  std::optional<ListeningSocket> listener;  ///< the host's; empty for the side that joins
  base::Event stop{"stopping a session"};   ///< made before a peer is met, since it can fail
};

class SessionPort final : public PortImpl {
 public:
  SessionPort(Opened opened, Plan plan, MeetingPlace place);
  ~SessionPort() override;

  /// Tells the events of the opening, and starts the session's thread. Once, right after construction. If
  /// that fails, the session is left to the next process.
  void run_session();

  ring::HistoryReader history() const noexcept override;
  PeerIdentity peer() const noexcept override;
  std::optional<SessionInfo> session() const noexcept override;
  void finish() noexcept override;

 private:
  /// The handshake with the next peer. This side has the session's state, and so is its keeper.
  class Succession;

  // On the application's threads.
  template <typename End>
  void follow_peer(End& end, std::shared_ptr<const ring::PeerRegion>& mapping) noexcept;
  void follow_peer_sending() noexcept override;
  void follow_peer_receiving() noexcept override;
  Status wait_for_peer(Deadline deadline) noexcept override;
  Status note_broken(const ring::RingFailure& failure) noexcept override;
  Status look_for_word() noexcept;
  void hang_up() noexcept override;
  void start_thread();
  void stop_thread() noexcept;

  // On the session's thread: session_thread.cpp.
  void run() noexcept;
  void step();
  void wait_for_something();
  void look_at_peer();
  bool peer_hung_up();
  void peer_ended();
  void tell_closed_here();
  void remove_files() noexcept;
  bool peer_closed() const;
  bool peer_is_dead() const;
  void end(Status reason, const std::string& text);
  void fail(const std::string& why) noexcept;
  void tell(SessionEvent event);
  void call_handler(SessionEvent event);
  SessionEvent resumed_with(const ring::PeerView& fresh) const;
  void connect_to_host();
  Reception::Rules rules();
  void set_fenced(bool fenced);
  void supersede_peer();
  void adopt(base::PeerSocket& socket, std::shared_ptr<const ring::PeerRegion> peer, Descriptor peer_pidfd);
  void handshake_failed(Handshake::Step step);

  const Plan plan_;
  MeetingPlace place_;  // the session's thread; `stop` is set by hang_up()

  mutable std::mutex mutex_;  // guards connection_'s peer, socket, pidfd, identity; info_; fenced_
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
  Reception reception_;
  Deadline connect_again_{};
  std::chrono::milliseconds pause_{1};
  std::thread thread_;
};

}  // namespace sluice::ipc
