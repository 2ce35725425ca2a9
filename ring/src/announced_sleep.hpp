// The sleep of a side whose wait position is announced.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "sluice/base/deadline.hpp"
#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/layout.hpp"
#include "sluice/ring/waiting.hpp"

namespace sluice::ring {

/// Made behind the store of the wait position, before the last look at what is waited for.
///
/// If the publisher's barrier is full, the two full barriers make sure of the wake-up. If it is light, the
/// publisher may have looked at the wait position before its own store of the position could be seen: for as
/// long as that store takes to leave its CPU. So the first sleep is bounded, and only a wait that outlasts it
/// issues the membarrier, which interrupts every running process that is registered for it.
class AnnouncedSleep {
 public:
  explicit AnnouncedSleep(const std::atomic<std::uint32_t>& publishers_barrier) noexcept {
    full_barrier();
    sure_ =
        publishers_barrier.load(std::memory_order_relaxed) == kFullBarrier;  // [BARRIER] behind the barrier
  }

  /// Sleeps while *word == expected. False once the deadline has passed. The caller looks again afterwards.
  bool sleep(WaitGate& gate, const std::atomic<std::uint64_t>& word, std::uint32_t expected,
             Deadline deadline) noexcept {
    const Deadline end = sure_ ? deadline : std::min(deadline, deadline_in(kUnsureSleep));
    if (gate.sleep(word, expected, end)) return true;
    if (end == deadline) return false;
    sleeper_barrier(true);
    sure_ = true;
    return true;
  }

 private:
  static constexpr std::chrono::milliseconds kUnsureSleep{1};

  bool sure_;
};

}  // namespace sluice::ring
