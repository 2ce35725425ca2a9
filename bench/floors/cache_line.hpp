// Floor: one cache line there, one back. Nothing that talks through shared memory can be faster.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "harness/measure.hpp"

namespace sluice::bench {

/// Words with one writer each, on lines that they share with nothing (128 bytes: the adjacent-line prefetcher
/// fetches pairs). A message goes through the next of several lines, as in a ring: measured a fifth faster
/// across caches than one line used over and over.
struct LinePair {
  static constexpr std::size_t kLines = 64;
  struct alignas(128) Line {
    std::atomic<std::uint64_t> word;
  };
  std::array<Line, kLines> ping;
  std::array<Line, kLines> pong;
};

/// Polls with one pause a poll, the fastest number of pauses measured, until the word is `sequence`, with any
/// flags.
inline std::uint64_t await_sequence(const LinePair::Line& line, std::uint64_t sequence) noexcept {
  std::uint64_t value = 0;
  // acquire: pairs with the release store of the other side.
  while (((value = line.word.load(std::memory_order_acquire)) & kSequenceMask) != sequence) cpu_pause();
  return value;
}

/// Round trips of a bare word, both sides spinning; the word is the sequence number and is checked.
inline Histogram measure_cache_line(const Cores& cores, const RunPlan& plan) {
  const Shared<Histogram> histogram;
  const Shared<LinePair> lines;
  const auto& clock = bench_clock();
  run_pair(cores, kRunDeadline, [&](Side side) {
    const auto pass_on = [](LinePair::Line& line, std::uint64_t value) {
      line.word.store(value, std::memory_order_release);  // pairs with await_sequence
    };
    if (side == Side::second) {
      std::uint64_t value = 0;
      for (std::uint64_t sequence = 1; (value & kLastFlag) == 0; ++sequence) {
        value = await_sequence(lines->ping[sequence % LinePair::kLines], sequence);
        pass_on(lines->pong[sequence % LinePair::kLines], value);
      }
      return;
    }
    std::uint64_t sequence = 0;
    const auto round_trip = [&](std::uint64_t flags) {
      const auto place = ++sequence % LinePair::kLines;
      const auto start = clock.ticks();
      pass_on(lines->ping[place], sequence | flags);
      const auto answer = await_sequence(lines->pong[place], sequence);
      const auto stop = clock.ticks();
      if (answer != (sequence | flags)) throw std::runtime_error("cache line: wrong content");
      return stop - start;
    };
    const auto run_for = [&](std::uint64_t ns, auto&& note) {
      const auto stop_at = clock.ticks() + clock.from_ns(ns);
      while (clock.ticks() < stop_at) note(round_trip(0));
    };
    run_for(plan.warm_up_ns, [](std::uint64_t) {});
    run_for(plan.measured_ns, [&](std::uint64_t ticks) { histogram->record(clock.to_ns(ticks)); });
    round_trip(kLastFlag);
  });
  return *histogram;
}

}  // namespace sluice::bench
