#include "random_kills.hpp"

#include <csignal>
#include <cstdio>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include "child_process.hpp"
#include "shared_page.hpp"
#include "two_processes.hpp"
#include "worker.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kPatience = 30s;

class Supervisor {
 public:
  explicit Supervisor(const RandomKillsOptions& options) : options_(options), random_(options.seed) {}

  RandomKillsReport run() {
    start(Role::host);
    start(Role::join);
    wait_until("both sides are connected", [&] { return is_connected(); });
    const auto end = steady_clock::now() + options_.time;
    while (report_.kills < options_.kills && steady_clock::now() < end) {
      kill_one();
      if (pick(8) == 0) expect_progress();
    }
    finish();
    return report_;
  }

 private:
  struct Side {
    std::optional<ChildProcess> process;
    std::uint64_t number = 0;
  };

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  Side& side(Role role) { return sides_.at(role == Role::host ? 0 : 1); }
  /// Whether the present process of that side has opened the session: it has its state.
  bool is_ready(Role role) { return board_->of(role).ready == side(role).number; }

  /// Whether both have told of the same connection: one is told of it a little after the other.
  bool is_connected() {
    return is_ready(Role::host) && is_ready(Role::join) &&
           board_->of(Role::host).epoch == board_->of(Role::join).epoch;
  }

  void start(Role role) {
    WorkerOptions worker;
    worker.role = role;
    worker.path = channel_.path();
    worker.number = ++processes_;
    worker.use_checkpoint = pick(2) == 0;
    worker.sleep_at_once = pick(2) == 0;
    worker.lingers = pick(2) == 0;
    worker.batch = 1 + pick(4);
    side(role).number = worker.number;
    side(role).process.emplace([this, worker] { work(worker, *board_); });
  }

  void kill(Role role) {
    side(role).process.reset();
    ++report_.kills;
  }

  /// One side dies at a moment when the other has the session's state, and so may its successors before they
  /// have it.
  void kill_one() {
    const Role victim = pick(2) == 0 ? Role::host : Role::join;
    const Role survivor = other(victim);
    pause_up_to(3ms);
    const std::uint64_t epoch = board_->of(survivor).epoch;
    kill(victim);
    start(victim);
    bool first = true;
    while (pick(3) == 0) {
      pause_up_to(4ms);
      if (!is_ready(victim)) ++report_.kills_while_opening;
      kill(victim);
      start(victim);
      first = false;
    }
    if (first && pick(4) == 0) {
      // The survivor has adopted its peer, which may not have been told yet.
      wait_until("the survivor has resumed", [&] { return board_->of(survivor).epoch > epoch; });
      kill(survivor);
      ++report_.kills_before_welcome;
      start(survivor);
    }
    wait_until("both sides have resumed", [&] { return is_connected(); });
  }

  void expect_progress() {
    const std::uint64_t host = board_->of(Role::host).handled;
    const std::uint64_t joiner = board_->of(Role::join).handled;
    wait_until("both streams go on", [&] {
      return board_->of(Role::host).handled > host && board_->of(Role::join).handled > joiner;
    });
  }

  void finish() {
    for (const Role role : {Role::host, Role::join}) board_->of(role).finish = true;
    for (const Role role : {Role::host, Role::join}) {
      const auto status = side(role).process->wait_for(kPatience);
      check_complaints();
      if (!status) fail("a worker didn't finish");
      if (!status->ok()) fail("a worker ended with " + to_string(*status));
    }
    for (const Role role : {Role::host, Role::join}) {
      SideBoard& board = board_->of(role);
      if (board.handled != board_->of(other(role)).posted) {
        fail("of " + std::to_string(board_->of(other(role)).posted) + " messages " +
             std::to_string(board.handled) + " were received");
      }
      report_.messages += board.handled;
      report_.redelivered += board.redelivered;
    }
  }

  void pause_up_to(std::chrono::microseconds longest) {
    // Short ones are more likely: there are the openings.
    const std::uint64_t most = 1 + pick(static_cast<std::uint64_t>(longest.count()));
    std::this_thread::sleep_for(std::chrono::microseconds(pick(most)));
  }

  template <typename Condition>
  void wait_until(const char* what, Condition condition) {
    const auto deadline = steady_clock::now() + kPatience;
    while (!condition()) {
      check_complaints();
      if (steady_clock::now() > deadline) fail("waited in vain until " + std::string(what));
      std::this_thread::sleep_for(50us);
    }
    check_complaints();
  }

  void check_complaints() {
    for (const Role role : {Role::host, Role::join})
      if (board_->of(role).broken) fail(board_->of(role).complaint.data());
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(what + " (after " + std::to_string(report_.kills) + " kills, seed " +
                             std::to_string(options_.seed) + ")");
  }

  const RandomKillsOptions options_;
  std::mt19937_64 random_;
  TestChannel channel_;
  SharedPage<Board> board_;
  std::array<Side, 2> sides_;
  std::uint64_t processes_ = 0;
  RandomKillsReport report_;
};

}  // namespace

RandomKillsReport kill_at_random(const RandomKillsOptions& options) {
  return Supervisor(options).run();
}

}  // namespace sluice::test
