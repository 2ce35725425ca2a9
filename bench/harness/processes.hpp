// Two pinned processes that measure something together, and the supervisor that never lets them outlive it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "cores.hpp"

namespace sluice::bench {

/// Which of the two processes runs a piece of code. `first` is the one that starts round trips and produces.
enum class Side : std::uint8_t { first, second };

inline constexpr Side other(Side side) noexcept {
  return side == Side::first ? Side::second : Side::first;
}

/// Where the two processes wait for each other: spinning, for use outside measured stretches. Lies in shared
/// memory.
class Meeting {
 public:
  /// Returns when both have arrived the same number of times.
  void arrive_and_wait() noexcept;

 private:
  std::atomic<std::uint32_t> arrived_{0};
};

/// Runs `body` in two forked processes pinned to the two cores, and sleeps until both have ended. Throws
/// std::runtime_error with the first failing side's own message if a body throws, a process dies or
/// `deadline` passes; both processes are gone when this returns or throws. Returns how often the scheduler
/// took a processor away from them: more than a few in a run means that something else was running there.
std::uint64_t run_pair(const Cores& cores, std::chrono::seconds deadline,
                       const std::function<void(Side)>& body);

}  // namespace sluice::bench
