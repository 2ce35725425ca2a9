#include "session_worker.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>

#include "sluice/ipc/connect/session.hpp"

namespace demo {
namespace {

/// What this process takes over from its predecessor.
void tell(const sluice::SessionEvent& resumed, const sluice::Port& port) {
  const std::uint64_t answered = port.next_sequence();  // every message before this one
  fmt::print("    worker {}: {} messages come (again), from message {} on; {} of them were answered before\n",
             ::getpid(), resumed.last + 1 - resumed.first, resumed.first,
             std::max(answered, resumed.first) - resumed.first);
  std::fflush(stdout);
}

sluice::Status send_back(sluice::Port& port) {
  for (;;) {
    const sluice::Message record = port.receive();
    if (!record) return record.status();
    if (record.sequence() < port.next_sequence()) continue;  // answered before
    const sluice::Status status = port.post_message(record.bytes());
    if (status != sluice::Status::ok) return status;
  }
}

}  // namespace

int run_session_worker(const std::string& channel) noexcept {
  try {
    std::optional<sluice::SessionEvent> resumed;
    sluice::SessionOptions options;
    options.port.ring_bytes = kSessionRingBytes;
    // Later, on the session's own thread, this process isn't resumed: it is killed, or it ends.
    options.on_state = [&](const sluice::SessionEvent& event) {
      if (event.state == sluice::SessionState::resumed) resumed = event;
    };
    sluice::Port port = sluice::join_session(channel, options);
    if (resumed) tell(*resumed, port);
    return send_back(port) == sluice::Status::closed ? 0 : 1;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "demo worker: %s\n", failure.what());
    return 1;
  }
}

}  // namespace demo
