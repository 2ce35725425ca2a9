#include "sluice/ipc/connect/session.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "channel_name.hpp"
#include "session_handshake.hpp"
#include "session_port.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice {
namespace {

using ipc::OpenedSession;
using ipc::PacketSocket;
using ipc::SessionPlan;
using std::chrono::steady_clock;

Port make_session_port(OpenedSession opened, SessionPlan plan, ipc::MeetingPlace place) {
  auto impl = std::make_shared<ipc::SessionPort>(std::move(opened), std::move(plan), std::move(place));
  Port port = ipc::PortAccess::make(impl);
  impl->run_session();
  return port;
}

/// Whether the failure of one handshake is this side's own, and no other peer would help.
bool is_ours(const error& why) {
  return why.code() == checkpoint_errc::bad_checkpoint || why.code() == errc::bad_option ||
         why.code().category() == std::system_category();
}

/// One client of a host that has no state in memory. One that has it offers it; else the files are asked.
OpenedSession serve(PacketSocket& socket, const std::optional<ipc::StoredSession>& stored,
                    const SessionPlan& plan, Deadline deadline) {
  if (ipc::decode_hello(socket.receive(deadline)).has_state == 0) {
    return stored ? ipc::go_on_from(*stored, socket, plan, deadline)
                  : ipc::begin_session(socket, plan, deadline);
  }
  socket.send(ipc::encode_packet(ipc::SessionRequest{}), {}, deadline);
  return ipc::accept_offer(socket, socket.receive(deadline), plan, deadline);
}

/// Takes the name; waits a moment for a predecessor that has been killed and is not quite gone.
ipc::ListeningSocket listen_in_place_of_the_dead(const std::filesystem::path& path, const SessionPlan& plan) {
  const Deadline deadline =
      deadline_in(std::min<std::chrono::nanoseconds>(plan.options.timeout, ipc::kTimeToEnd));
  const auto access =
      plan.peer_user() == ::geteuid() ? ipc::SocketAccess::owner : ipc::SocketAccess::everybody;
  for (;;) {
    try {
      return ipc::ListeningSocket(path, access);
    } catch (const error& why) {
      if (why.code() != connect_errc::name_taken || steady_clock::now() >= deadline) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

PacketSocket accept_client(ipc::ListeningSocket& listener, const SessionPlan& plan, Deadline deadline) {
  for (;;) {
    if (!base::wait_for_events(listener.fd(), POLLIN, deadline)) {
      throw error(errc::timed_out, "nobody joined the session at " + listener.path().string() + " in time");
    }
    ipc::AcceptResult result = listener.accept();
    if (result.outcome == ipc::AcceptOutcome::out_of_resources)
      throw_errno(EMFILE, "accepting a process that joins the session at " + listener.path().string());
    if (result.outcome != ipc::AcceptOutcome::accepted) continue;
    PacketSocket client = std::move(*result.connection);
    const uid_t user = client.peer_credentials().uid;
    if (user == plan.peer_user()) return client;
    ipc::try_refuse(client,
                    error(connect_errc::refused, "user " + std::to_string(user) + " may not connect"));
  }
}

OpenedSession wait_for_client(ipc::ListeningSocket& listener, const SessionPlan& plan, Deadline deadline) {
  const std::optional<ipc::StoredSession> stored = ipc::find_stored_session(plan);
  for (;;) {
    PacketSocket client = accept_client(listener, plan, deadline);
    try {
      return serve(client, stored, plan, std::min(deadline, deadline_in(plan.options.handshake_timeout)));
    } catch (const error& why) {
      ipc::try_refuse(client, why);
      if (is_ours(why)) throw;
    }
  }
}

OpenedSession knock(const std::filesystem::path& path, const SessionPlan& plan, Deadline deadline) {
  PacketSocket socket = ipc::connect_until(path, plan.peer_user(), deadline);
  try {
    const Deadline until = std::min(deadline, deadline_in(plan.options.handshake_timeout));
    socket.send(ipc::encode_packet(ipc::SessionHello{}), {}, until);
    return ipc::accept_offer(socket, socket.receive(until), plan, until);
  } catch (const error& why) {
    if (why.code() == connect_errc::peer_gone) {
      ipc::throw_waiting_refusal(socket);
    } else if (why.code() != connect_errc::refused) {
      ipc::try_refuse(socket, why);
    }
    throw;
  }
}

SessionPlan make_plan(const std::filesystem::path& path, SessionOptions options, const std::string& own_role,
                      const std::string& peer_role) {
  ipc::check_session_options(options);
  SessionPlan plan{std::move(options), {}, {}};
  const std::filesystem::path& directory = plan.options.directory;
  if (directory.empty()) return plan;
  base::check_safe_directory(directory);
  const std::string name = path.filename().string();
  plan.own_file = directory / (name + "." + own_role + ".ring");
  plan.peer_file = directory / (name + "." + peer_role + ".ring");
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
  const SessionPlan plan = make_plan(path, std::move(options), "host", "join");
  const Deadline deadline = deadline_in(plan.options.timeout);
  ipc::MeetingPlace place{path, listen_in_place_of_the_dead(path, plan)};
  OpenedSession opened = wait_for_client(*place.listener, plan, deadline);
  return make_session_port(std::move(opened), plan, std::move(place));
}

Port join_session(std::string_view name, SessionOptions options) {
  const std::filesystem::path path = ipc::resolve_channel_name(name);
  const SessionPlan plan = make_plan(path, std::move(options), "join", "host");
  const Deadline deadline = deadline_in(plan.options.timeout);
  for (;;) {
    try {
      return make_session_port(knock(path, plan, deadline), plan, {path, std::nullopt});
    } catch (const error& why) {
      // A host that died during the handshake may be back in a moment.
      if (why.code() != connect_errc::peer_gone || steady_clock::now() >= deadline) throw;
    }
  }
}

}  // namespace sluice
