// How long after a kill -9 does the other process know?
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "harness/child.hpp"
#include "harness/shared_memory.hpp"
#include "harness/suite.hpp"
#include "harness/temporary_folder.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice_channel.hpp"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kRuns = 3;
constexpr std::uint64_t kMeasuredNsPerKill = 200'000;  // 200 kills in a run of the usual 0.04 s
constexpr auto kPatience = 10s;
constexpr auto kUntilAsleep = 1ms;
constexpr auto kUntilSpinning = 200us;
constexpr std::uint64_t kRingBytes = 64U << 10U;

/// What the victim does: becomes the peer, and stays until it is killed.
using Body = std::function<void(Side)>;

template <class BecomePeer>
Body peer_that_stays(BecomePeer become_peer) {
  return [become_peer](Side) {
    const Port port = become_peer();
    for (;;) pause();
  };
}

/// The time at which something was noticed: set by one thread, awaited by another.
class Notice {
 public:
  void give() noexcept {
    at_ns_.store(monotonic_ns(), std::memory_order_release);  // pairs with wait()
    at_ns_.notify_one();
  }
  std::uint64_t wait() const noexcept {
    at_ns_.wait(0, std::memory_order_acquire);
    return at_ns_.load(std::memory_order_relaxed);  // set once
  }

 private:
  std::atomic<std::uint64_t> at_ns_{0};
};

/// One death. The waiting thread has the first processor to itself, as one that spins needs it; everything
/// else shares the second: who kills, who dies, and who notices. `settle`: from when the wait has begun until
/// the kill.
std::uint64_t ns_from_kill(const Child& victim, std::chrono::nanoseconds settle, const Notice& noticed) {
  std::this_thread::sleep_for(settle);
  const auto killed = monotonic_ns();
  kill(victim.pid(), SIGKILL);
  return noticed.wait() - killed;
}

PortOptions port_options(WaitStrategy strategy) {
  PortOptions options;
  options.ring_bytes = kRingBytes;
  options.wait.strategy = strategy;
  return options;
}

/// A port whose peer is a victim.
struct Pair {
  Pair(const Cores& cores, WaitStrategy strategy)
      : listener(listen(path, {.port = port_options(strategy)})),
        victim(Side::second, cores.second, peer_that_stays([this] { return connect(path); }), *error),
        port(accept()),
        waiter_core(cores.first) {}

  TemporaryFolder folder;
  const std::string path = folder.path() + "/port";
  const Shared<ErrorText> error;
  Listener listener;
  Child victim;
  Port port;
  int waiter_core;

 private:
  Port accept() {
    auto accepted = listener.accept_for(kPatience);
    if (!accepted) throw std::runtime_error("the victim didn't connect");
    return std::move(*accepted);
  }
};

void expect_death(Status status) {
  if (status != Status::peer_died)
    throw std::runtime_error("expected peer died, got " + std::string(to_string(status)));
}

/// `wait` is called on a thread of its own and returns how it ended.
template <class Waiting>
std::uint64_t die_during(Pair& pair, std::chrono::nanoseconds settle, Waiting wait) {
  std::atomic<bool> waiting{false};
  Status ended = Status::ok;
  Notice noticed;
  std::thread waiter([&] {
    pin_to(pair.waiter_core);
    waiting.store(true, std::memory_order_release);  // only says that it is about to wait
    waiting.notify_one();
    ended = wait();
    noticed.give();
  });
  waiting.wait(false, std::memory_order_acquire);
  const auto ns = ns_from_kill(pair.victim, settle, noticed);
  waiter.join();
  expect_death(ended);
  return ns;
}

/// The adaptive strategy spins for some 20 us, then sleeps: both are met.
std::chrono::nanoseconds settle_for(WaitStrategy strategy) {
  static std::minstd_rand random;  // one thread
  switch (strategy) {
    case WaitStrategy::spin:
      return kUntilSpinning;
    case WaitStrategy::adaptive:
      return std::chrono::nanoseconds(random() % 100'000);
    default:
      return kUntilAsleep;
  }
}

std::uint64_t in_receive(const Cores& cores, WaitStrategy strategy) {
  Pair pair(cores, strategy);
  return die_during(pair, settle_for(strategy), [&] { return pair.port.receive().status(); });
}

std::uint64_t in_post(const Cores& cores, WaitStrategy strategy) {
  Pair pair(cores, strategy);
  const std::vector<std::byte> message(1024);
  while (pair.port.try_post_message(message) == Status::ok) {
  }
  return die_during(pair, settle_for(strategy), [&] { return pair.port.post_message(message); });
}

std::uint64_t in_wait_until_consumed(const Cores& cores) {
  Pair pair(cores, WaitStrategy::adaptive);
  expect_ok(pair.port.post_message({}), "post_message");
  return die_during(pair, kUntilAsleep, [&] { return pair.port.wait_until_consumed(); });
}

std::uint64_t in_delivery(const Cores& cores) {
  Pair pair(cores, WaitStrategy::adaptive);
  Notice noticed;
  std::atomic<Status> reason{Status::ok};
  pair.port.on_message([](Bytes) {});
  pair.port.on_close([&](Status status) {
    reason.store(status, std::memory_order_relaxed);  // published by the notice
    noticed.give();
  });
  pair.port.start();
  const auto ns = ns_from_kill(pair.victim, kUntilAsleep, noticed);
  expect_death(reason.load(std::memory_order_relaxed));
  return ns;
}

std::uint64_t in_session(const Cores& cores) {
  const TemporaryFolder folder;
  const auto path = folder.path() + "/session";
  const Shared<ErrorText> error;
  Notice noticed;
  const Child victim(Side::second, cores.second, peer_that_stays([&] { return join_session(path); }), *error);
  SessionOptions options;
  options.port.ring_bytes = kRingBytes;
  options.timeout = kPatience;
  options.on_state = [&](const SessionEvent& event) {
    if (event.state == SessionState::waiting_for_peer) noticed.give();
  };
  const Port port = host_session(path, options);
  return ns_from_kill(victim, kUntilAsleep, noticed);
}

/// The kernel's own notice, for a process that holds the same things.
std::uint64_t in_poll(const Cores& cores) {
  const Pair pair(cores, WaitStrategy::sleep);
  Notice noticed;
  std::thread waiter([&] {
    pollfd entry{pair.victim.fd(), POLLIN, 0};
    while (poll(&entry, 1, -1) != 1) {
    }
    noticed.give();
  });
  const auto ns = ns_from_kill(pair.victim, kUntilAsleep, noticed);
  waiter.join();
  return ns;
}

Subject dying(std::string name, std::string floor, std::function<std::uint64_t(const Cores&)> die) {
  return {std::move(name), std::move(floor), [die = std::move(die)](const Cores& cores, const RunPlan& plan) {
            pin_to(cores.second);
            Histogram histogram;
            const auto kills = std::max<std::uint64_t>(1, plan.measured_ns / kMeasuredNsPerKill);
            for (std::uint64_t i = 0; i < kills; ++i) histogram.record(die(cores));
            return latency_metrics(histogram);
          }};
}

void add_all(Suite& suite) {
  const std::string floor = "pidfd";
  const auto with = [](auto die, WaitStrategy strategy) {
    return [die, strategy](const Cores& cores) { return die(cores, strategy); };
  };
  suite.add(
      {.name = "from a kill to",
       .size = 0,
       .subjects = {dying(floor, "", in_poll),
                    dying("receive, spinning", floor, with(in_receive, WaitStrategy::spin)),
                    dying("receive, adaptive", floor, with(in_receive, WaitStrategy::adaptive)),
                    dying("receive, asleep", floor, with(in_receive, WaitStrategy::sleep)),
                    dying("post, spinning", floor, with(in_post, WaitStrategy::spin)),
                    dying("post, asleep", floor, with(in_post, WaitStrategy::sleep)),
                    dying("wait_until_consumed", floor, in_wait_until_consumed),
                    dying("on_close", floor, in_delivery), dying("on_state, session", floor, in_session)},
       .crowded = true,
       .timed = false,
       .most_runs = kRuns});
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_death", "how long after a kill -9 does the other process know?");
  sluice::bench::add_all(suite);
  return suite.run(argc, argv);
}
