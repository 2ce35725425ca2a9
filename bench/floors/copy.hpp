// Floors for bulk data: copying into a buffer that another process reads at the same time, with nothing in
// between; and plain memcpy in one process.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "harness/measure.hpp"

namespace sluice::bench {

/// What each side of the copy floor reached.
struct CopyRates {
  double writer_per_second = 0;
  double reader_per_second = 0;
};

/// Messages a second of the slower of two processes: the first copies messages round a buffer of
/// `ring_bytes`, the second reads every word of it, round and round, and neither waits for the other. What
/// the reader finds while the writer runs is whatever is there; when both have stopped it checks every byte
/// of the last round.
inline double measure_copy(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  const auto bytes = options.message_bytes;
  const auto slots = std::max<std::size_t>(2, options.ring_bytes / bytes);
  const SharedMemory buffer(slots * bytes);
  const Shared<Meeting> meeting;
  const Shared<CopyRates> rates;
  const Shared<std::atomic<std::uint64_t>> last_sequence;
  const auto& clock = bench_clock();

  // Runs `step` for the whole plan and returns its rate in the measured part. Both sides stop by the same
  // clock.
  const auto rate_of = [&](std::uint64_t start, auto&& step) {
    const auto measured_from = start + clock.from_ns(plan.warm_up_ns);
    const auto stop_at = measured_from + clock.from_ns(plan.measured_ns);
    std::uint64_t count = 0;
    const std::uint64_t stride = bytes >= 4096 ? 1 : 64;
    const auto run_to = [&](std::uint64_t until) {
      do {
        for (std::uint64_t i = 0; i < stride; ++i) step();
        count += stride;
      } while (clock.ticks() < until);
    };
    run_to(measured_from);
    count = 0;
    const auto begun = clock.ticks();
    run_to(stop_at);
    return static_cast<double>(count) * 1e9 / static_cast<double>(clock.to_ns(clock.ticks() - begun));
  };

  run_pair(cores, kRunDeadline, [&](Side side) {
    buffer.touch();
    std::size_t slot = 0;
    const auto next_slot = [&] {
      auto* const place = buffer.data() + slot * bytes;
      if (++slot == slots) slot = 0;
      return place;
    };
    if (side == Side::first) {
      Source source(bytes);
      for (std::size_t i = 0; i < slots; ++i) std::memcpy(next_slot(), source.next().data(), bytes);
      meeting->arrive_and_wait();
      rates->writer_per_second =
          rate_of(clock.ticks(), [&] { std::memcpy(next_slot(), source.next().data(), bytes); });
      while (slot != 0) std::memcpy(next_slot(), source.next().data(), bytes);
      last_sequence->store(source.sequence(), std::memory_order_relaxed);  // the meeting orders it
      meeting->arrive_and_wait();
      return;
    }
    meeting->arrive_and_wait();
    std::uint64_t total = 0;
    rates->reader_per_second = rate_of(clock.ticks(), [&] {
      // Nothing orders these loads against the writer: the race is the point, and the sum is thrown away.
      asm volatile("" ::: "memory");
      total += sum_words(next_slot(), bytes / sizeof(std::uint64_t));
      asm volatile("" : "+r"(total));
    });
    meeting->arrive_and_wait();
    Source expected(bytes);
    slot = 0;
    const auto end = last_sequence->load(std::memory_order_relaxed);
    const auto first = end - slots;
    for (std::uint64_t i = 0; i < end; ++i) {
      const auto wanted = expected.next();
      if (i >= first && std::memcmp(wanted.data(), next_slot(), bytes) != 0) {
        throw std::runtime_error("copy floor: wrong content after the last round");
      }
    }
  });
  return std::min(rates->writer_per_second, rates->reader_per_second);
}

/// Messages a second of memcpy between two private buffers of `footprint_bytes` each, on the first core.
inline double measure_memcpy(const Cores& cores, std::size_t message_bytes, std::size_t footprint_bytes,
                             const RunPlan& plan) {
  const Shared<double> rate;
  run_pair(cores, kRunDeadline, [&](Side side) {
    if (side == Side::second) return;
    const auto slots = std::max<std::size_t>(1, footprint_bytes / message_bytes);
    std::vector<std::byte> from(slots * message_bytes, std::byte{1});
    std::vector<std::byte> to(slots * message_bytes, std::byte{2});
    const auto lap = [&] {
      for (std::size_t i = 0; i < slots; ++i) {
        std::memcpy(to.data() + i * message_bytes, from.data() + i * message_bytes, message_bytes);
        asm volatile("" ::"r"(to.data()) : "memory");
      }
    };
    lap();
    const auto begun = monotonic_ns();
    std::uint64_t laps = 0;
    std::uint64_t elapsed = 0;
    for (; elapsed < plan.measured_ns; elapsed = monotonic_ns() - begun, ++laps) lap();
    if (to != from) throw std::runtime_error("memcpy floor: wrong content");
    *rate = static_cast<double>(laps * slots) * 1e9 / static_cast<double>(elapsed);
  });
  return *rate;
}

}  // namespace sluice::bench
