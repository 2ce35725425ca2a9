// How long does a message take there and back?
#include <fmt/format.h>

#include <string>
#include <utility>

#include "floors/cache_line.hpp"
#include "floors/futex.hpp"
#include "floors/inband_ring.hpp"
#include "harness/suite.hpp"
#include "sluice_channel.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr double kSleepLength = 3;  // slower round trips need longer runs for their percentiles
constexpr double kPacedLength = 4;
constexpr double kSlowPacedLength = 12;

Subject cache_line() {
  return {"cache line", "", [](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(measure_cache_line(cores, plan));
          }};
}

Subject futex(std::string name, Wait first, Wait second) {
  return {std::move(name), "", [first, second](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(measure_futex(cores, plan, first, second));
          }};
}

template <class C>
Subject through(std::string name, std::string floor, std::size_t bytes, Wait first, Wait second) {
  ChannelOptions options;
  options.message_bytes = bytes;
  options.first = first;
  options.second = second;
  return {std::move(name), std::move(floor), [options](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(measure_round_trip<C>(cores, options, plan));
          }};
}

template <class C>
Subject through(std::string name, std::string floor, std::size_t bytes, Wait both) {
  return through<C>(std::move(name), std::move(floor), bytes, both, both);
}

void add_spinning(Suite& suite) {
  using Ring = InbandRing<Polling::eager>;
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{56}, std::size_t{64}, std::size_t{256}, kKiB,
                                  4 * kKiB, 16 * kKiB, 64 * kKiB}) {
    Group group{"round trip, spin", bytes, {}};
    const std::string floor = bytes < kKiB ? "cache line" : "in-band ring";
    if (bytes < kKiB) group.subjects.push_back(cache_line());
    group.subjects.push_back(through<Ring>("in-band ring", bytes < kKiB ? floor : "", bytes, Wait::spin));
    group.subjects.push_back(through<Ports>("sluice", floor, bytes, Wait::spin));
    group.subjects.push_back(through<HandlerPorts>("sluice, on_message", "sluice", bytes, Wait::spin));
    suite.add(std::move(group));
  }
}

void add_sleeping(Suite& suite) {
  constexpr std::size_t kBytes = 64;
  suite.add(
      {"round trip, sleep",
       kBytes,
       {futex("futex", Wait::sleep, Wait::sleep), through<Ports>("sluice", "futex", kBytes, Wait::sleep),
        through<HandlerPorts>("sluice, on_message", "sluice", kBytes, Wait::sleep)},
       kSleepLength});
  suite.add({"round trip, one spins and one sleeps",
             kBytes,
             {futex("futex one way", Wait::spin, Wait::sleep),
              through<Ports>("sluice", "futex one way", kBytes, Wait::spin, Wait::sleep)},
             kSleepLength});
}

void add_default(Suite& suite) {
  constexpr std::size_t kBytes = 64;
  suite.add({"round trip, default strategy",
             kBytes,
             {through<Ports>("sluice spinning", "", kBytes, Wait::spin),
              through<Ports>("sluice", "sluice spinning", kBytes, Wait::adaptive),
              through<HandlerPorts>("sluice, on_message", "sluice", kBytes, Wait::adaptive)}});
  const auto paced = [&](std::string name, std::uint64_t pace_ns, double length) {
    suite.add({std::move(name),
               kBytes,
               {futex("futex", Wait::sleep, Wait::sleep),
                through<Ports>("sluice sleeping", "futex", kBytes, Wait::sleep),
                through<Ports>("sluice", "sluice sleeping", kBytes, Wait::adaptive)},
               length,
               pace_ns});
  };
  paced("round trip, one each 50 us", 50'000, kPacedLength);
  paced("round trip, one each 5 ms", 5'000'000, kSlowPacedLength);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_latency", "how long does a message take there and back?");
  sluice::bench::add_spinning(suite);
  sluice::bench::add_sleeping(suite);
  sluice::bench::add_default(suite);
  return suite.run(argc, argv);
}
