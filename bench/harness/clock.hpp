// A clock of a few nanoseconds' cost, for intervals of one round trip.
#pragma once

#include <cstdint>
#include <ctime>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace sluice::bench {

/// A clock of the kernel's in nanoseconds.
inline std::uint64_t clock_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

/// CLOCK_MONOTONIC in nanoseconds: the reference, and the clock for everything longer than a round trip.
inline std::uint64_t monotonic_ns() noexcept {
  return clock_ns(CLOCK_MONOTONIC);
}

/// The CPU time that this process has used.
inline std::uint64_t cpu_ns() noexcept {
  return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/// Ticks of the processor's invariant time stamp counter where there is one, nanoseconds elsewhere. Made once
/// before the fork, so that both processes convert alike. Thread-safety: const after construction.
class Clock {
 public:
  /// Compares the counter with CLOCK_MONOTONIC for about 20 ms.
  Clock();

  /// The current tick, read after every earlier load has completed.
  std::uint64_t ticks() const noexcept {
#if defined(__x86_64__)
    if (counter_) {
      _mm_lfence();
      return __rdtsc();
    }
#endif
    return monotonic_ns();
  }

  /// A difference of two ticks in nanoseconds.
  std::uint64_t to_ns(std::uint64_t ticks) const noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(ticks) * ns_per_tick_);
  }

  std::uint64_t from_ns(std::uint64_t ns) const noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(ns) / ns_per_tick_);
  }

  bool uses_counter() const noexcept {
    return counter_;
  }

 private:
  bool counter_ = false;
  double ns_per_tick_ = 1.0;
};

/// The clock of this program, calibrated on first use (call it before the fork).
const Clock& bench_clock();

/// Tells the processor that this is a polling loop.
inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace sluice::bench
