#include "resumption.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

#include "flight.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "worker.hpp"

namespace demo {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kFewestRecords = 3000;  // enough to be in the middle of them
constexpr std::uint64_t kKills = 2;
constexpr std::chrono::seconds kWorkerMayTake{10};

/// On the session's thread.
void tell(const sluice::SessionEvent& event, Clock::time_point killed_at) {
  using enum sluice::SessionState;
  if (event.state != waiting_for_peer && event.state != resumed) return;
  const std::chrono::duration<double, std::milli> since = Clock::now() - killed_at;
  fmt::print("    {:6.2f} ms after the kill: {}\n", since.count(), sluice::to_string(event.state));
  std::fflush(stdout);
}

}  // namespace

void show_resumption(const Lap& lap) {
  fmt::print("\n  a worker that sends everything back is killed in the middle, and started again\n");
  const std::uint64_t records = (kFewestRecords + lap.size() - 1) / lap.size() * lap.size();
  const std::string channel = fmt::format("demo-{}-session", ::getpid());
  std::atomic<Clock::time_point> killed_at{};  // set before the worker is killed, read by what that causes
  sluice::SessionOptions options;
  options.port.ring_bytes = kRingBytes;
  options.timeout = options.resume_window = kWorkerMayTake;
  options.on_state = [&](const sluice::SessionEvent& event) { tell(event, killed_at.load()); };
  std::optional<WorkerProcess> worker(std::in_place, "--session-worker", channel);
  sluice::Port port = sluice::host_session(channel, options);

  std::uint64_t sent = 0;
  std::uint64_t returned = 0;
  std::uint64_t kills = 0;
  RunningDigest digest;
  const auto send = [&] {
    if (!post(port, lap.record(sent % lap.size()))) return false;
    ++sent;
    return true;
  };
  const auto take = [&](const sluice::Message& message) {
    if (!came(message)) return false;
    digest.update(message.bytes());
    if (message.sequence() != ++returned)
      throw std::runtime_error(fmt::format("message {} came instead of {}", message.sequence(), returned));
    if (returned % lap.size() != 0) return true;
    if (digest.so_far() != lap.digest())
      throw std::runtime_error("the SHA-256 of what came back differs from ours");
    digest.restart();
    return true;
  };
  while (returned < records) {
    take_turn(port, sent < records, send, take);
    if (kills == kKills || sent < (kills + 1) * records / (kKills + 1)) continue;
    ++kills;
    fmt::print("  kill -9 of worker {}, with {} records sent and {} back\n", worker->pid(), sent, returned);
    std::fflush(stdout);
    killed_at = Clock::now();
    worker.reset();
    worker.emplace("--session-worker", channel);
  }
  port.close();
  if (const std::string how = worker->wait(); !how.empty())
    throw std::runtime_error("the worker failed: " + how);
  fmt::print("  sha256  {}\n  equal: {} records sent and come back in order, each once, through {} kills\n",
             to_hex(lap.digest()), returned, kills);
}

}  // namespace demo
