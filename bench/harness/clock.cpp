#include "clock.hpp"

#include <fstream>
#include <string>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kCalibrationNs = 20'000'000;

// Only a counter that runs at one rate in every power state, the same on all cores, measures time.
bool has_invariant_counter() {
#if defined(__x86_64__)
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("flags")) {
      return line.find("constant_tsc") != std::string::npos && line.find("nonstop_tsc") != std::string::npos;
    }
  }
#endif
  return false;
}

}  // namespace

Clock::Clock() : counter_(has_invariant_counter()) {
  if (!counter_) return;
  const auto start_ns = monotonic_ns();
  const auto start = ticks();
  std::uint64_t elapsed_ns = 0;
  while (elapsed_ns < kCalibrationNs) elapsed_ns = monotonic_ns() - start_ns;
  ns_per_tick_ = static_cast<double>(elapsed_ns) / static_cast<double>(ticks() - start);
}

const Clock& bench_clock() {
  static const Clock clock;
  return clock;
}

}  // namespace sluice::bench
