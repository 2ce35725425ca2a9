#include "placement.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "clock.hpp"
#include "floors/cache_line.hpp"
#include "processes.hpp"
#include "report.hpp"
#include "shared_memory.hpp"

namespace sluice::bench {
namespace {

constexpr double kFarFromNs = 200;
constexpr double kSteadyFactor = 1.5;
constexpr RunPlan kProbe{.warm_up_ns = 300'000, .measured_ns = 1'000'000};
constexpr double kSharedFromSlowdown = 1.35;
constexpr std::chrono::microseconds kNap{20};

/// As much arithmetic as a core can take, for about 100 us; in ns.
double time_of_arithmetic() noexcept {
  constexpr int kRounds = 100'000;
  const auto start = monotonic_ns();
  std::array<std::uint64_t, 8> chains{1, 2, 3, 4, 5, 6, 7, 8};
  for (int round = 0; round < kRounds; ++round) {
    for (auto& chain : chains) {
      chain += chain >> 3U;
      asm volatile("" : "+r"(chain));  // keeps it, in a register, and from becoming a vector
    }
  }
  return static_cast<double>(monotonic_ns() - start);
}

/// How many times longer arithmetic takes while the other processor computes, too: 1 on two cores, nearly 2
/// on two threads of one.
double slowdown_together(const Cores& cores) {
  struct Result {
    double alone_ns;
    double together_ns;
    std::atomic<bool> measured_alone;
  };
  const Shared<Result> result;
  const Shared<Meeting> meeting;
  run_pair(cores, kRunDeadline, [&](Side side) {
    if (side == Side::first) {
      time_of_arithmetic();  // the clock of a core that was idle rises first
      result->alone_ns = time_of_arithmetic();
      result->measured_alone.store(true, std::memory_order_release);  // pairs with the load below
    } else {
      while (!result->measured_alone.load(std::memory_order_acquire)) std::this_thread::sleep_for(kNap);
    }
    meeting->arrive_and_wait();
    const auto together_ns = time_of_arithmetic();
    if (side == Side::first) result->together_ns = together_ns;
  });
  return result->together_ns / result->alone_ns;
}

}  // namespace

std::string_view to_string(Distance distance) noexcept {
  switch (distance) {
    case Distance::same_core:
      return "same-core";
    case Distance::near:
      return "near";
    case Distance::far:
      break;
  }
  return "far";
}

void Placement::probe(const Cores& cores) {
  const auto line_ns = measure_cache_line(cores, kProbe).middle_mean();
  lines_ns_.push_back(line_ns);
  if (line_ns >= kFarFromNs) {
    distances_.push_back(Distance::far);
  } else {
    distances_.push_back(slowdown_together(cores) >= kSharedFromSlowdown ? Distance::same_core
                                                                         : Distance::near);
  }
}

bool Placement::steady() const {
  const auto [least, most] = std::minmax_element(lines_ns_.begin(), lines_ns_.end());
  return *most < *least * kSteadyFactor &&
         std::ranges::count(distances_, distances_.front()) == std::ssize(distances_);
}

double Placement::line_ns() const {
  return median_of(lines_ns_);
}

std::uint64_t cpu_shortage_ns() {
  // Pressure stall information: "some avg10=0.00 avg60=0.00 avg300=0.00 total=<microseconds>".
  std::ifstream file("/proc/pressure/cpu");
  std::string line;
  std::getline(file, line);
  const auto at = line.find("total=");
  return at == std::string::npos ? 0 : std::strtoull(line.c_str() + at + 6, nullptr, 10) * 1000;
}

}  // namespace sluice::bench
