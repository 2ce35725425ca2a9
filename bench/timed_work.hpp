// Nanoseconds that a piece of work takes, in one process.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "harness/clock.hpp"
#include "harness/suite.hpp"

namespace sluice::bench {

/// Nanoseconds that `work(i)` takes, which returns a number to be checked against i. The clock is read after each batch.
template <typename Work>
Metrics time_of(const RunPlan& plan, Work work, std::uint64_t batch = 256) {
  std::uint64_t done = 0;
  const auto run_for = [&](std::uint64_t ns) {
    const auto from = done;
    const auto begun = monotonic_ns();
    auto now = begun;
    for (; now - begun < ns; now = monotonic_ns()) {
      for (std::uint64_t i = 0; i < batch; ++i, ++done) {
        if (work(done) != done) throw std::runtime_error("a record was read wrong");
      }
    }
    return static_cast<double>(now - begun) / static_cast<double>(done - from);
  };
  run_for(plan.warm_up_ns);
  return {{"mean", run_for(plan.measured_ns), "ns"}};
}

template <typename Work>
Subject timed(std::string name, std::string floor, Work work) {
  return {std::move(name), std::move(floor),
          [work](const Cores&, const RunPlan& plan) { return time_of(plan, work()); }};
}

}  // namespace sluice::bench
