// How two processes find each other: listen, accept, connect.
//
//   sluice::Listener listener = sluice::listen("orders");     sluice::Port port = sluice::connect("orders");
//   sluice::Port port = listener.accept();
//
// Every call throws sluice::error; its twin with a std::error_code tells the code instead, and answers with a
// port or listener that is closed. (std::bad_alloc becomes std::errc::not_enough_memory.)
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/connect_error.hpp"
#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "sluice/ring/error.hpp"

#pragma GCC visibility push(default)

namespace sluice {

struct ListenOptions {
  PortOptions port{};
  /// Users who may connect; default: this process's effective user only. If others are among them the socket
  /// file is open to everybody and each client's user is checked; others can reach it under a path only,
  /// since the runtime directory is this user's own.
  std::vector<uid_t> allowed_users{};
  /// How long one client may take for its first packet, and then again for the whole handshake; more than 0.
  /// At most 32 clients wait that have said nothing. If more come the one that has been silent for longest,
  /// and for 50 ms at least, is refused.
  Duration handshake_timeout = std::chrono::seconds(5);
  /// Told why a client was refused, in words; called on the accepting thread.
  std::function<void(const std::string& reason)> on_refused{};
};

struct ConnectOptions {
  PortOptions port{};
  /// The user to whom socket and listener must belong; default: this process's effective user.
  std::optional<uid_t> listener_user{};
  /// How long to wait for a listener and the handshake together.
  Duration timeout = std::chrono::seconds(10);
};

/// Accepts connections under one name; stops when destroyed. One that was moved from is closed. In a forked
/// child accept() throws errc::misuse, and nothing else does anything. Threads: one accepts at a time;
/// close() any.
class Listener {
 public:
  /// Closed.
  Listener() noexcept;
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  /// The next connection whose handshake succeeds. Handshakes of up to 8 clients go on side by side, and a
  /// client that fails its own is refused without disturbing the others. Throws connect_errc::closed once the
  /// listener is closed, and system errors.
  Port accept();
  Port accept(std::error_code& why);

  /// The same until a deadline: nothing if it passes.
  std::optional<Port> accept_until(Deadline deadline);
  std::optional<Port> accept_for(Duration timeout) { return accept_until(deadline_in(timeout)); }
  /// errc::timed_out if it passes.
  Port accept_until(Deadline deadline, std::error_code& why);
  Port accept_for(Duration timeout, std::error_code& why) { return accept_until(deadline_in(timeout), why); }

  /// Ends accept() in another thread, for good. The socket file goes when the listener is destroyed.
  void close() noexcept;

  /// Where the socket is; empty if there is none.
  std::string path() const;

 private:
  friend Listener listen(std::string_view name, ListenOptions options);
  class [[gnu::visibility("hidden")]] Impl;
  explicit Listener(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;  // owned by this alone
};

/// Listens under `name`: 1 to 64 bytes of A-Z a-z 0-9 . _ -, not beginning with a dot, in the user's runtime
/// directory ($XDG_RUNTIME_DIR/sluice, or /tmp/sluice-UID); or at a path that begins with "/", "./" or "../",
/// of at most 107 bytes, for containers that share a volume. Takes over the socket of a listener that died.
/// Throws errc::bad_name, connect_errc::name_taken, errc::unsafe_place, errc::bad_option, errc::timed_out
/// (another process of this user keeps the name locked), or a system error.
Listener listen(std::string_view name, ListenOptions options = {});
Listener listen(std::string_view name, ListenOptions options, std::error_code& why);

/// Connects to the listener of that name, waiting for one to come. Throws errc::timed_out,
/// connect_errc::refused (with the listener's reason; also if a session is offered there),
/// connect_errc::bad_version, ring::errc::bad_region, connect_errc::protocol, connect_errc::peer_gone, and
/// those of listen().
Port connect(std::string_view name, const ConnectOptions& options = {});
Port connect(std::string_view name, const ConnectOptions& options, std::error_code& why);

}  // namespace sluice

#pragma GCC visibility pop
