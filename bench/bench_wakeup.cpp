// What does a channel ask of the kernel, under load and when idle?
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "harness/measure.hpp"
#include "harness/suite.hpp"
#include "harness/syscalls.hpp"
#include "sluice_channel.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kBytes = 64;
constexpr double kIdleLength = 250;  // 10 s at the usual 0.04 s a run

ChannelOptions options_for(Wait wait) {
  ChannelOptions options;
  options.message_bytes = kBytes;
  options.first = options.second = wait;
  return options;
}

Metrics per_message(std::uint64_t calls, std::uint64_t messages) {
  return {{"system calls", messages == 0 ? 0 : static_cast<double>(calls) / static_cast<double>(messages),
           "per message"}};
}

/// A stream at full speed, counted between two points of it.
template <class C>
Metrics count_stream(const Cores& cores, const RunPlan& plan, Wait wait) {
  const auto options = options_for(wait);
  const Shared<std::uint64_t> counted;
  const Shared<Meeting> meeting;
  C channel(options);
  const auto calls = run_counted_pair(cores, kRunDeadline, [&](Side side, CountingWindow& window) {
    auto end = channel.open(side);
    meeting->arrive_and_wait();
    if (side == Side::first) {
      Source source(options.message_bytes);
      const auto send_for = [&](std::uint64_t ns) {
        for (const auto stop_at = monotonic_ns() + ns; monotonic_ns() < stop_at;) end.send(source.next());
      };
      send_for(plan.warm_up_ns);
      const auto from = source.sequence();
      window.open();
      send_for(plan.measured_ns);
      window.close();
      *counted = source.sequence() - from;
      end.send(source.next(kLastFlag));
    } else {
      Checker checker(options.message_bytes);
      serve(end, [&](Bytes message) { return (checker.check(message) & kLastFlag) == 0; });
    }
    meeting->arrive_and_wait();
  });
  return per_message(calls, *counted);
}

/// Round trips, counted between two points; two messages each. Also how many wake-ups a sleep cost.
Metrics count_round_trips(const Cores& cores, const RunPlan& plan, Wait wait) {
  struct Counts {
    std::uint64_t messages;
    PortStatistics first;
    PortStatistics second;
  };
  const auto options = options_for(wait);
  const Shared<Counts> counts;
  const Shared<Meeting> meeting;
  Ports channel(options);
  const auto calls = run_counted_pair(cores, kRunDeadline, [&](Side side, CountingWindow& window) {
    auto end = channel.open(side);
    meeting->arrive_and_wait();
    if (side == Side::first) {
      Source source(options.message_bytes);
      Checker checker(options.message_bytes);
      const auto go_for = [&](std::uint64_t ns) {
        for (const auto stop_at = monotonic_ns() + ns; monotonic_ns() < stop_at;) {
          end.send(source.next());
          end.receive([&](Bytes answer) { checker.check(answer); });
        }
      };
      go_for(plan.warm_up_ns);
      const auto from = source.sequence();
      window.open();
      go_for(plan.measured_ns);
      window.close();
      counts->messages = 2 * (source.sequence() - from);
      end.send(source.next(kLastFlag));
      end.receive([&](Bytes answer) { checker.check(answer); });
      counts->first = end.port().statistics();
    } else {
      pong(end, options.message_bytes);
      counts->second = end.port().statistics();
    }
    meeting->arrive_and_wait();
  });
  auto metrics = per_message(calls, counts->messages);
  const auto sleeps = counts->first.sleeps + counts->second.sleeps;
  const auto wakes = counts->first.wakes_of_consumer + counts->second.wakes_of_consumer;
  if (wait == Wait::sleep) {
    metrics.push_back({"wake-ups", sleeps == 0 ? 0 : static_cast<double>(wakes) / static_cast<double>(sleeps),
                       "per sleep"});
  }
  return metrics;
}

/// Two processes that wait for each other, one in receive() and one with a handler, and what that costs.
Metrics idle(const Cores& cores, const RunPlan& plan) {
  struct Used {
    std::uint64_t first_ns;
    std::uint64_t second_ns;
  };
  const auto options = options_for(Wait::adaptive);
  const Shared<Used> used;
  const Shared<Meeting> meeting;
  HandlerPorts channel(options);
  run_pair(cores, kRunDeadline, [&](Side side) {
    auto end = channel.open(side);
    if (side == Side::first) {
      end.port().on_message([](Bytes) {});
      end.port().start();
      meeting->arrive_and_wait();
      const auto before = cpu_ns();
      std::this_thread::sleep_for(std::chrono::nanoseconds(plan.measured_ns));
      used->first_ns = cpu_ns() - before;
      Source source(kBytes);
      end.send(source.next());
    } else {
      meeting->arrive_and_wait();
      const auto before = cpu_ns();
      end.receive([](Bytes) {});
      used->second_ns = cpu_ns() - before;
    }
    meeting->arrive_and_wait();
  });
  const auto seconds = static_cast<double>(used->first_ns + used->second_ns) / 1e9;
  return {{"CPU time of both", seconds, "s"},
          {"idle time", static_cast<double>(plan.measured_ns) / 1e9, "s"}};
}

void add_all(Suite& suite) {
  constexpr unsigned kRuns = 3;
  const auto counted = [&](std::string name, std::vector<Subject> subjects, double length) {
    suite.add({.name = std::move(name),
               .size = kBytes,
               .subjects = std::move(subjects),
               .length = length,
               .timed = false,
               .most_runs = kRuns});
  };
  const auto streaming = [](std::string name, auto count, Wait wait) {
    return Subject{std::move(name), "", [count, wait](const Cores& cores, const RunPlan& plan) {
                     return count(cores, plan, wait);
                   }};
  };
  counted("under load, one way",
          {streaming("sluice, default strategy", count_stream<Ports>, Wait::adaptive),
           streaming("sluice, on_message", count_stream<HandlerPorts>, Wait::adaptive),
           streaming("sluice, spinning", count_stream<Ports>, Wait::spin)},
          2);
  counted("under load, round trips",
          {streaming("sluice, default strategy", count_round_trips, Wait::adaptive),
           streaming("sluice, spinning", count_round_trips, Wait::spin),
           streaming("sluice, sleeping", count_round_trips, Wait::sleep)},
          2);
  suite.add({.name = "idle",
             .size = 0,
             .subjects = {{"sluice, default strategy", "", idle}},
             .length = kIdleLength,
             .timed = false,
             .most_runs = 1});
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_wakeup",
                             "what does a channel ask of the kernel, under load and when idle?");
  sluice::bench::add_all(suite);
  return suite.run(argc, argv);
}
