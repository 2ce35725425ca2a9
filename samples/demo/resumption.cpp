#include "resumption.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

#include "session_worker.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "streaming.hpp"
#include "worker.hpp"

namespace demo {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kFewestRecords = 3000;  // enough to be in the middle of them
constexpr std::uint64_t kKills = 2;
constexpr std::chrono::seconds kWorkerMayTake{10};

class Resumption {
 public:
  explicit Resumption(const Lap& lap)
      : lap_(lap),
        laps_((kFewestRecords + lap.size() - 1) / lap.size()),
        records_(laps_ * lap.size()),
        channel_(fmt::format("demo-{}-session", ::getpid())) {}

  void run() {
    worker_.emplace(WorkerProgram{"--session-worker", channel_});
    port_.emplace(sluice::host_session(channel_, options()));
    std::uint64_t kills = 0;
    while (returned_ < records_) {
      if (sent_ < records_ && try_send()) {
        while (take(port_->try_receive())) {
        }
      } else {
        take(port_->receive());
      }
      if (kills < kKills && sent_ >= (kills + 1) * records_ / (kKills + 1)) {
        ++kills;
        kill_and_restart();
      }
    }
    port_->close();
    if (const std::string how = worker_->wait(); !how.empty())
      throw std::runtime_error("the worker failed: " + how);
    fmt::print("  sha256  {}\n  equal: {} records sent and come back in order, each once, through {} kills\n",
               to_hex(lap_.digest()), returned_, kills);
  }

 private:
  sluice::SessionOptions options() {
    sluice::SessionOptions options;
    options.port.ring_bytes = kSessionRingBytes;
    options.timeout = kWorkerMayTake;
    options.resume_window = kWorkerMayTake;
    options.on_state = [this](const sluice::SessionEvent& event) { tell(event); };
    return options;
  }

  /// On the session's thread.
  void tell(const sluice::SessionEvent& event) const {
    if (event.state != sluice::SessionState::waiting_for_peer && event.state != sluice::SessionState::resumed)
      return;
    const std::chrono::duration<double, std::milli> since = Clock::now() - killed_at_.load();
    fmt::print("    {:6.2f} ms after the kill: {}\n", since.count(), sluice::to_string(event.state));
    std::fflush(stdout);
  }

  void kill_and_restart() {
    fmt::print("  kill -9 of worker {}, with {} records sent and {} back\n", worker_->pid(), sent_,
               returned_);
    std::fflush(stdout);
    killed_at_ = Clock::now();
    worker_.reset();
    worker_.emplace(WorkerProgram{"--session-worker", channel_});
  }

  bool try_send() {
    const sluice::Status status = port_->try_post_message(lap_.record(sent_ % lap_.size()));
    if (status == sluice::Status::would_block) return false;
    if (status != sluice::Status::ok) throw PortEnded{status, returned_};
    ++sent_;
    return true;
  }

  bool take(const sluice::Message& message) {
    if (message.status() == sluice::Status::would_block) return false;
    if (!message) throw PortEnded{message.status(), returned_};
    digest_.update(message.bytes());
    ++returned_;
    if (message.sequence() != returned_)
      throw std::runtime_error(fmt::format("message {} came instead of {}", message.sequence(), returned_));
    if (returned_ % lap_.size() != 0) return true;
    if (digest_.so_far() != lap_.digest())
      throw std::runtime_error("the SHA-256 of what came back differs from ours");
    digest_.restart();
    return true;
  }

  const Lap& lap_;
  const std::uint64_t laps_;
  const std::uint64_t records_;
  const std::string channel_;
  std::atomic<Clock::time_point> killed_at_{};  // set before the worker is killed, read by what that causes
  std::optional<WorkerProcess> worker_;
  std::optional<sluice::Port> port_;  // after what its handler uses
  std::uint64_t sent_ = 0;
  std::uint64_t returned_ = 0;
  RunningDigest digest_;
};

}  // namespace

void show_resumption(const Lap& lap) {
  fmt::print("\n  a worker that sends everything back is killed in the middle, and started again\n");
  Resumption(lap).run();
}

}  // namespace demo
