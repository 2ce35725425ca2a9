// Sessions: a port whose two processes may die, one at a time, and come back.
//
//   sluice::Port port = sluice::host_session("orders");    sluice::Port port = sluice::join_session("orders");
//
// A process that is killed and calls the same function again goes on with the port that its predecessor had:
// it receives what that one had not released, and posts behind what that one had posted. The other side
// keeps its port all the while: it posts until the ring is full, waits for room and for messages as always,
// and is told what happens by SessionOptions::on_state.
//
// The state of a session is in the memory of its two processes. If both are gone the next pair begins a new
// session, and is told so; unless both chose a directory to keep it in.
//
// Errors are told as in endpoint.hpp: by sluice::error, or by a std::error_code.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "sluice/base/error.hpp"
#include "sluice/base/status.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"
#include "sluice/ipc/checkpoint/checkpoint_error.hpp"
#include "sluice/ipc/connect/connect_error.hpp"
#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "sluice/ring/error.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// What happened to a session.
enum class SessionState : std::uint8_t {
  connected,         ///< a new session: both rings are empty
  waiting_for_peer,  ///< the peer's process ended without closing; the session waits for the next
  resumed,           ///< both sides are there again: receiving goes on at message `first`
  gap,        ///< messages `first` to `last` were asked for by a checkpoint and are no longer in the ring
  restarted,  ///< the checkpoint belongs to another session than this one, and was not used
  closed,     ///< the session has ended, for the reason in `reason`
};

std::string_view to_string(SessionState state) noexcept;

struct SessionEvent {
  SessionState state{};
  std::uint64_t epoch = 0;  ///< the connection that it belongs to
  /// resumed: the number of the message that receive() gives next. gap: the first one that is lost.
  std::uint64_t first = 0;
  /// resumed: the last one that the peer has posted so far (first - 1: none waits). gap: the last one that is
  /// lost.
  std::uint64_t last = 0;
  /// closed: Status::closed (by this side or the peer), peer_died (nobody came back in time), superseded,
  /// broken.
  Status reason = Status::ok;
  /// closed: in words. connected: why what was stored in SessionOptions::directory isn't gone on with; empty if
  /// nothing was.
  std::string text{};
};

/// Told in order, never twice at the same time: before host_session() or join_session() returns on their
/// caller's thread, later on the session's own thread. It may call close() and is_open(); it must not wait
/// for the peer, or destroy the port. If it throws, this process gives up the session as if it had died: the
/// peer keeps it for the next one. host_session() and join_session() throw what it threw; later the port is
/// broken, and failure_text() says why.
using SessionHandler = std::function<void(const SessionEvent& event)>;

/// One end's own choices; the two ends need not agree. For a process that resumes a session, ring_bytes and
/// replay_window_bytes are those of its predecessor. If that is only known from the peer, a ring larger than
/// ring_bytes is refused, unless it is kept in files: ring::errc::bad_region.
struct SessionOptions {
  PortOptions port{};
  SessionHandler on_state{};
  /// How long to wait for the first connection; errc::timed_out.
  Duration timeout = std::chrono::seconds(10);
  /// How long this side keeps the session when its peer has died; then every call says peer_died.
  Duration resume_window = std::chrono::seconds(300);
  /// Where this side's application really is: messages up to checkpoint->sequence are not received again,
  /// those after it are, as far as the ring still holds them, and none of them is marked as replayed. Without
  /// it receiving goes on behind the last message that was released, and messages that were posted before
  /// the resumption are marked: see Message::replayed. A sequence that the peer has not posted yet throws
  /// checkpoint_errc::bad_checkpoint.
  std::optional<StreamCheckpoint> checkpoint{};
  /// How long one handshake may take, beside the time that large rings take to be copied (32 s a GiB at most);
  /// more than 0. A host has one at a time: it begins with a client's first
  /// packet, and silent clients wait aside, as ListenOptions says.
  Duration handshake_timeout = std::chrono::seconds(5);
  /// host_session() only: a second process that joins while the first still runs takes its place. Otherwise
  /// it is refused. The one that is replaced is told: its calls say superseded, and what it writes from then
  /// on nobody reads.
  bool replace_living_peer = false;
  /// Where the rings are kept as files, NAME.host.ring and NAME.join.ring, so that the session is resumed
  /// even if both processes are gone: by the next pair that names the same directory (which must exist).
  /// Files can't be sealed against their peer: only for two processes that trust each other, and both must
  /// choose it. A directory of its own in a tmpfs such as /dev/shm keeps them in memory; elsewhere they
  /// outlast the processes, but not a power failure. Files that are damaged, or older than each other, begin
  /// a new session, which says so; those of another version are ring::errc::bad_version, and stay. Empty:
  /// anonymous memory. Throws errc::unsafe_place if others can write there, also if the sticky bit is set, or
  /// if a file is none of this user's, or has a second name.
  std::filesystem::path directory{};
  /// The user of the peer's process; default: this process's effective user. A host of another user's peer
  /// must be named by a path.
  std::optional<uid_t> peer_user{};
};

/// Offers a session under a name or path (see listen()), and waits for the peer. Throws as listen() and
/// connect(); a process that can't join, because it wants a plain connection for example, is refused and told
/// so.
Port host_session(std::string_view name, SessionOptions options = {});
Port host_session(std::string_view name, SessionOptions options, std::error_code& why);

/// Joins the session of that name, waiting for a host. If it is this side that knows the session and the host
/// that was started anew, the host gets it from here. Throws as connect(); connect_errc::refused also if
/// another process has this end of the session and still runs, or if plain connections are offered there.
Port join_session(std::string_view name, SessionOptions options = {});
Port join_session(std::string_view name, SessionOptions options, std::error_code& why);

}  // namespace sluice

#pragma GCC visibility pop
