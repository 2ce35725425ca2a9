#include "sluice/ipc/connect/session.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "channel_name.hpp"
#include "opening.hpp"
#include "port_regions.hpp"
#include "reception.hpp"
#include "session_port.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/base/detail/with_error_code.hpp"

namespace sluice {
namespace {

using std::chrono::steady_clock;

/// The two ends, as files are named for them.
constexpr const char* kHost = "host";
constexpr const char* kJoin = "join";

/// Between two tries, at most.
constexpr std::chrono::milliseconds kLongestPause{20};

Port make_session_port(ipc::Opened opened, ipc::Plan plan, ipc::MeetingPlace place) {
  auto impl = std::make_shared<ipc::SessionPort>(std::move(opened), std::move(plan), std::move(place));
  Port port = ipc::PortImpl::make_port(impl);
  impl->run_session();
  return port;
}

/// Takes the name and the host's end; waits a moment for a predecessor that has been killed and is not quite
/// gone.
ipc::MeetingPlace host_in_place_of_the_dead(const std::filesystem::path& path, const ipc::Plan& plan) {
  auto end = std::make_unique<ipc::SessionEnd>(path, kHost, plan.own_file);
  const Deadline deadline =
      deadline_in(std::min<std::chrono::nanoseconds>(plan.options.timeout, ipc::kTimeToEnd));
  const auto access =
      plan.peer_user() == ::geteuid() ? ipc::SocketAccess::owner : ipc::SocketAccess::everybody;
  for (;;) {
    try {
      if (!end->try_to_own()) {
        throw error(connect_errc::name_taken,
                    "a process hosts the session at " + base::quoted_text(path.native()) + " already");
      }
      return {path, std::move(end), ipc::ListeningSocket(path, access)};
    } catch (const error& why) {
      if (why.code() != connect_errc::name_taken || steady_clock::now() >= deadline) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

/// Whether the failure of one handshake is this side's own, and no other peer would help. A lack of memory or
/// descriptors may pass.
bool is_ours(const error& why) {
  return why.code() == checkpoint_errc::bad_checkpoint || why.code() == errc::bad_option ||
         why.code() == errc::unsafe_place;
}

/// The host's way: lets in one process after the other until one makes it. A process that has a session's
/// state offers it; else the files are asked.
ipc::Opened wait_for_peer(ipc::ListeningSocket& listener, const ipc::Plan& plan, Deadline deadline,
                          const std::string& hint, const std::optional<ipc::StoredSession>& stored) {
  std::optional<ipc::Opened> opened;
  std::optional<error> refused;
  ipc::Reception::Rules rules;
  rules.users = {plan.peer_user()};
  rules.patience = plan.options.handshake_timeout;
  rules.shake_hands = [&](base::PeerSocket client) {
    const auto timeout =
        std::min<std::chrono::nanoseconds>(plan.options.handshake_timeout, deadline - steady_clock::now());
    return std::make_unique<ipc::Opening>(std::move(client), plan, stored ? &*stored : nullptr, timeout,
                                          opened);
  };
  rules.on_failed = [&](const error& why, ipc::Handshake::Step) {
    if (is_ours(why)) throw error(why);
    refused = why;
  };
  ipc::Reception reception(&listener, std::move(rules));
  while (!reception.advance()) {
    // One that has begun in time comes to its own end, so that the other side is told.
    if (reception.idle() && steady_clock::now() >= deadline) {
      const std::string nobody =
          "nobody joined the session at " + base::quoted_text(listener.path().native()) + " in time";
      if (!refused) throw error(errc::timed_out, nobody + hint);
      if (refused->code().category() == std::system_category())
        throw error(refused->code(), nobody + ": " + refused->detail());
      throw error(errc::timed_out, nobody + "; refused: " + refused->what());
    }
    reception.wait({}, reception.idle() ? deadline : kNoDeadline);
  }
  return std::move(*opened);
}

ipc::Plan make_plan(const std::filesystem::path& path, SessionOptions options, ring::RegionEnd end) {
  ipc::check_port_options(options.port);
  ipc::check_handshake_timeout(options.handshake_timeout);
  if (options.resume_window < std::chrono::nanoseconds::zero()) {
    throw error(errc::bad_option, "resume_window: expected at least 0, got " +
                                      std::to_string(options.resume_window.count()) + " ns");
  }
  ipc::Plan plan{.options = std::move(options), .end = end};
  if (plan.options.directory.empty()) return plan;
  // Absolute: the process may change its own before the files are removed.
  const std::filesystem::path directory = std::filesystem::absolute(plan.options.directory);
  base::check_safe_directory(directory, ::geteuid(), base::OthersMay::read);
  const std::string name = path.filename().string();
  const auto file = [&](const char* role) { return directory / (name + "." + role + ".ring"); };
  plan.own_file = file(end == ring::RegionEnd::host ? kHost : kJoin);
  plan.peer_file = file(end == ring::RegionEnd::host ? kJoin : kHost);
  ipc::check_ring_file(plan.own_file);
  ipc::check_ring_file(plan.peer_file);
  return plan;
}

}  // namespace

std::string_view to_string(SessionState state) noexcept {
  switch (state) {
    case SessionState::connected:
      return "connected";
    case SessionState::waiting_for_peer:
      return "waiting for peer";
    case SessionState::resumed:
      return "resumed";
    case SessionState::gap:
      return "gap";
    case SessionState::restarted:
      return "restarted";
    case SessionState::closed:
      return "closed";
  }
  return "unknown state";
}

Port host_session(std::string_view name, SessionOptions options) {
  const std::filesystem::path path = ipc::resolve_channel_name(name);
  ipc::Plan plan = make_plan(path, std::move(options), ring::RegionEnd::host);
  const Deadline deadline = deadline_in(plan.options.timeout);
  ipc::MeetingPlace place = host_in_place_of_the_dead(path, plan);
  plan.owner = place.end.get();
  const ipc::StoredFiles stored = ipc::find_stored_session(plan.own_file, plan.peer_file, plan.end);
  plan.why_anew = stored.why_none;
  ipc::Opened opened = wait_for_peer(*place.listener, plan, deadline,
                                     ipc::other_place(name, "a process that joins"), stored.session);
  return make_session_port(std::move(opened), plan, std::move(place));
}

Port host_session(std::string_view name, SessionOptions options, std::error_code& why) {
  return base::with_error_code(why, Port(), [&] { return host_session(name, std::move(options)); });
}

Port join_session(std::string_view name, SessionOptions options) {
  const std::filesystem::path path = ipc::resolve_channel_name(name, options.peer_user.value_or(::geteuid()));
  ipc::Plan plan = make_plan(path, std::move(options), ring::RegionEnd::join);
  const Deadline deadline = deadline_in(plan.options.timeout);
  const std::string hint = ipc::other_place(name, "a host");
  ipc::MeetingPlace place{path, std::make_unique<ipc::SessionEnd>(path, kJoin, plan.own_file), std::nullopt};
  plan.owner = place.end.get();
  std::optional<Deadline> patience;
  std::optional<ipc::Opened> opened;
  for (std::chrono::milliseconds pause{2}; !opened; pause = std::min(2 * pause, kLongestPause)) {
    try {
      opened = ipc::knock(path, plan.peer_user(), plan, plan.options.handshake_timeout, deadline, hint);
    } catch (const error& why) {
      // Who owns the end may have been killed, and be not quite gone. A host that died during the handshake
      // may be back in a moment.
      const bool taken = dynamic_cast<const ipc::EndIsTaken*>(&why) != nullptr;
      if (taken && !patience) patience = std::min<Deadline>(deadline_in(ipc::kTimeToEnd), deadline);
      const bool may_pass = taken || why.code() == connect_errc::peer_gone;
      if (!may_pass || steady_clock::now() >= (taken ? *patience : deadline)) throw;
      std::this_thread::sleep_for(pause);
    }
  }
  return make_session_port(std::move(*opened), plan, std::move(place));
}

Port join_session(std::string_view name, SessionOptions options, std::error_code& why) {
  return base::with_error_code(why, Port(), [&] { return join_session(name, std::move(options)); });
}

}  // namespace sluice
