// The handshake with which a connection begins in this process: a new one, plain or a session, or a session
// that is gone on with from files or from the peer's memory.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "handshake.hpp"
#include "session_end.hpp"
#include "sluice/ipc/connect/session.hpp"

namespace sluice::ipc {

/// What one side wants to have.
struct Plan {
  ConnectionKind kind = ConnectionKind::session;
  SessionOptions options{};           ///< of a plain connection only `port`
  std::filesystem::path own_file{};   ///< where this side's region is kept; empty: anonymous memory
  std::filesystem::path peer_file{};  ///< where the peer keeps its own, likewise
  ring::RegionEnd end = ring::RegionEnd::none;
  SessionEnd* owner = nullptr;  ///< of a session: makes this process the owner of its end
  std::string why_anew{};       ///< what was stored and can't be gone on with; empty if nothing was

  ring::Backing backing() const noexcept {
    return own_file.empty() ? ring::Backing::sealed_memory : ring::Backing::file;
  }
  /// Whose processes may be the peer of a session.
  uid_t peer_user() const noexcept;
};

/// One side of a connection at the moment when it can begin to work.
struct Opened {
  Connection connection;
  bool connected = false;  ///< false: the keeper died while this side joined, which is the keeper now
  SessionInfo info;
  ring::ConsumerStart start;
  std::vector<SessionEvent> events;  ///< to be told, in order
};

/// Throws errc::bad_option unless it is more than 0.
void check_handshake_timeout(std::chrono::nanoseconds timeout);

class Opening final : public Handshake {
 public:
  /// `stored`: what a host goes on with; null for a new session. All but the socket must stay. `result` is
  /// set once the connection stands. `begin` is called with it set: before a keeper welcomes its peer, so that
  /// what `begin` throws ends the handshake. Throws checkpoint_errc::bad_checkpoint and system errors if it's
  /// this side that can't go on.
  Opening(
      base::PeerSocket socket, const Plan& plan, const StoredSession* stored,
      std::chrono::nanoseconds timeout, std::optional<Opened>& result, std::function<void()> begin = [] {});

 private:
  std::string owner_of_its_end(bool is_owned) const override;
  Keeping keep() override;
  void adopt(std::shared_ptr<const ring::PeerRegion> peer, Descriptor peer_pidfd) override;
  const ring::OwnedRegion& join(const SessionInfo& session, Descriptor& region, Descriptor* old) override;
  void joined(Descriptor peer_pidfd, bool peer_lives) override;

  void begin_anew(const SessionInfo& session, const std::string& why);
  ring::RegionOptions with_place(ring::RegionOptions region, std::uint64_t peer_epoch) const;
  void go_on_from(const ring::PeerView& old, const ring::PeerView& peer, const SessionInfo& session);

  const Plan& plan_;
  const StoredSession* stored_;
  std::optional<Opened>& result_;
  std::function<void()> begin_;
  SessionInfo info_;
  std::optional<ring::OwnedRegion> own_;
  std::shared_ptr<const ring::PeerRegion> peer_;
  std::optional<Start> start_;  // of a new session only its events
};

/// The connector's whole way: finds the host, and shakes hands. Throws what connect() documents; `hint` is
/// added if there is no host.
Opened knock(const std::filesystem::path& path, uid_t host_user, const Plan& plan,
             std::chrono::nanoseconds handshake_timeout, Deadline deadline, std::string_view hint);

}  // namespace sluice::ipc
