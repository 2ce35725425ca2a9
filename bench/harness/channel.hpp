// The shape of everything that is measured, and the loops that measure it: floors, peers and sluice run the
// same code.
//
// A channel type C is made before the fork and opened once in each process:
//
//   struct C {
//     explicit C(const ChannelOptions&);
//     End open(Side);                      // in the forked process; throws on failure
//   };
//   struct End {
//     void send(Bytes message);            // waits for room
//     void receive(auto&& handler);        // waits for one message, calls handler(Bytes) once, then releases
//     it
//     // optional:
//     void serve(auto&& handler);          // delivers until handler(Bytes) returns false (push style)
//     void flush();                        // publishes what send() may have held back
//     void produce(std::size_t bytes, auto&& fill);  // claims room, fill(std::span<std::byte>), commits
//   };
//
// Neither end is virtual: the compiler sees through all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

#include "clock.hpp"
#include "histogram.hpp"
#include "payload.hpp"
#include "processes.hpp"

namespace sluice::bench {

/// How an end waits when there is nothing to read or no room.
enum class Wait : std::uint8_t { spin, adaptive, sleep };

struct ChannelOptions {
  std::size_t message_bytes = 64;
  std::size_t ring_bytes = std::size_t{1} << 20;  ///< room between the two, where the channel has such a size
  Wait first = Wait::spin;
  Wait second = Wait::spin;
  unsigned batch = 1;  ///< messages a publication, where the channel can batch

  Wait wait(Side side) const { return side == Side::first ? first : second; }
};

/// How long one run takes, and how far apart its messages are.
struct RunPlan {
  std::uint64_t warm_up_ns = 20'000'000;
  std::uint64_t measured_ns = 100'000'000;
  std::uint64_t pace_ns = 0;  ///< from one message to the next; 0 is back to back
};

template <class End>
void flush(End& end) {
  if constexpr (requires { end.flush(); }) end.flush();
}

/// Calls `handler` for every message until it returns false.
template <class End, class Handler>
void serve(End& end, Handler handler) {
  if constexpr (requires { end.serve(handler); }) {
    end.serve(handler);
  } else {
    bool more = true;
    while (more) end.receive([&](Bytes message) { more = handler(message); });
  }
}

/// Waits until `due` (a tick): long waits asleep, the last of it and every short one spinning, so that the
/// sender is on time and, where the wait is long, has left its core idle as a real one would.
inline void wait_until_tick(const Clock& clock, std::uint64_t due) {
  constexpr std::uint64_t kSleepFromNs = 1'000'000;
  constexpr std::uint64_t kWakeEarlyNs = 200'000;
  const auto now = clock.ticks();
  if (now >= due) return;
  if (const auto left_ns = clock.to_ns(due - now); left_ns > kSleepFromNs) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(left_ns - kWakeEarlyNs));
  }
  while (clock.ticks() < due) cpu_pause();
}

/// The first process: sends, waits for the answer, notes the time; every answer is checked.
template <class End>
void ping(End& end, std::size_t message_bytes, const RunPlan& plan, Histogram& result) {
  const auto& clock = bench_clock();
  Source source(message_bytes);
  Checker checker(message_bytes);
  const auto pace = clock.from_ns(plan.pace_ns);
  const auto begun = clock.ticks();
  const auto measured_from = begun + clock.from_ns(plan.warm_up_ns);
  const auto stop_at = measured_from + clock.from_ns(plan.measured_ns);
  auto due = begun;
  auto start = begun;
  const auto send_next = [&](std::uint64_t flags) {
    if (pace != 0) wait_until_tick(clock, due += pace);
    const auto message = source.next(flags);
    start = clock.ticks();
    end.send(message);
    flush(end);
  };
  bool last = false;
  send_next(0);
  serve(end, [&](Bytes answer) {
    checker.check(answer);
    const auto stop = clock.ticks();
    if (last) return false;
    if (start >= measured_from) result.record(clock.to_ns(stop - start));
    last = stop >= stop_at;
    send_next(last ? kLastFlag : 0);
    return true;
  });
}

/// The second process: reads and checks every message, then answers it with one of its own, which is made
/// while it waits: what is timed is the channel.
template <class End>
void pong(End& end, std::size_t message_bytes) {
  Source source(message_bytes);
  Checker checker(message_bytes);
  auto answer = source.next();
  serve(end, [&](Bytes message) {
    const auto first = checker.check(message);
    end.send(answer);
    flush(end);
    answer = source.next();
    return (first & kLastFlag) == 0;
  });
}

/// The first process of a one-way run: sends as fast as it can. `transmit(flags)` sends one message.
template <class End, class Transmit>
void stream(End& end, const RunPlan& plan, Transmit transmit) {
  constexpr std::uint64_t kCheckMask = 63;  // look at the clock every 64 messages
  const auto run_for = [&](std::uint64_t ns) {
    const auto stop_at = monotonic_ns() + ns;
    for (std::uint64_t i = 0; (i & kCheckMask) != kCheckMask || monotonic_ns() < stop_at; ++i) transmit(0);
  };
  run_for(plan.warm_up_ns);
  transmit(kStartFlag);
  run_for(plan.measured_ns);
  transmit(kLastFlag);
  flush(end);
}

/// What a one-way run found: messages after the first measured one, and the time they took to arrive.
struct StreamResult {
  std::uint64_t messages = 0;
  std::uint64_t ns = 0;
  double per_second() const {
    return ns == 0 ? 0.0 : static_cast<double>(messages) * 1e9 / static_cast<double>(ns);
  }
};

/// The second process of a one-way run: `check(message)` verifies and returns the first word.
template <class End, class Check>
void drain(End& end, StreamResult& result, Check check) {
  std::uint64_t started_ns = 0;
  std::uint64_t first_sequence = 0;
  serve(end, [&](Bytes message) {
    const auto word = check(message);
    if ((word & ~kSequenceMask) == 0) [[likely]]
      return true;
    if ((word & kStartFlag) != 0) {
      started_ns = monotonic_ns();
      first_sequence = word & kSequenceMask;
      return true;
    }
    result.ns = monotonic_ns() - started_ns;
    result.messages = (word & kSequenceMask) - first_sequence;
    return false;
  });
}

}  // namespace sluice::bench
