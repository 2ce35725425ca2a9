// Floor: one futex wake-up there, one back. Nothing that sleeps in the kernel can be faster.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>

#include "harness/measure.hpp"

namespace sluice::bench {

/// A word that one side advances and the other sleeps on (shared, not process-private).
class FutexWord {
 public:
  /// `sleeper`: whether the other side may be asleep.
  void advance(std::uint32_t to, bool sleeper) noexcept {
    word_.store(to, std::memory_order_release);
    if (sleeper) syscall(SYS_futex, &word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  std::uint32_t await_change(std::uint32_t from, bool sleep) noexcept {
    std::uint32_t value = 0;
    while ((value = word_.load(std::memory_order_acquire)) == from) {
      if (!sleep) {
        cpu_pause();
        continue;
      }
      syscall(SYS_futex, &word_, FUTEX_WAIT, from, nullptr, nullptr, 0);
    }
    return value;
  }

 private:
  alignas(128) std::atomic<std::uint32_t> word_{0};
};

struct FutexPair {
  FutexWord ping;
  FutexWord pong;
};

/// Round trips of a bare word; each side always sleeps, or spins if its Wait is spin (then it needs no
/// wake-up); the word is the sequence number and is checked. The plan's pace applies.
inline Histogram measure_futex(const Cores& cores, const RunPlan& plan, Wait first = Wait::sleep,
                               Wait second = Wait::sleep) {
  constexpr std::uint32_t kEnd = std::uint32_t{1} << 31;
  const Shared<Histogram> histogram;
  const Shared<FutexPair> words;
  const auto& clock = bench_clock();
  const auto first_sleeps = first != Wait::spin;
  const auto second_sleeps = second != Wait::spin;
  run_pair(cores, kRunDeadline, [&](Side side) {
    if (side == Side::second) {
      std::uint32_t last = 0;
      do {
        last = words->ping.await_change(last, second_sleeps);
        words->pong.advance(last, first_sleeps);
      } while ((last & kEnd) == 0);
      return;
    }
    std::uint32_t sequence = 0;
    const auto round_trip = [&](std::uint32_t flags) {
      const auto before = sequence;
      sequence = (sequence + 1) | flags;
      const auto start = clock.ticks();
      words->ping.advance(sequence, second_sleeps);
      const auto answer = words->pong.await_change(before, first_sleeps);
      const auto stop = clock.ticks();
      if (answer != sequence) throw std::runtime_error("futex: wrong sequence");
      return stop - start;
    };
    auto due = clock.ticks();
    const auto pace = clock.from_ns(plan.pace_ns);
    const auto run_for = [&](std::uint64_t ns, auto&& note) {
      const auto stop_at = clock.ticks() + clock.from_ns(ns);
      do {
        if (pace != 0) wait_until_tick(clock, due += pace);
        note(round_trip(0));
      } while (clock.ticks() < stop_at);
    };
    run_for(plan.warm_up_ns, [](std::uint64_t) {});
    run_for(plan.measured_ns, [&](std::uint64_t ticks) { histogram->record(clock.to_ns(ticks)); });
    round_trip(kEnd);
  });
  return *histogram;
}

}  // namespace sluice::bench
