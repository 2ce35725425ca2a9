// One run of one channel: two processes, one number or one histogram.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "channel.hpp"
#include "shared_memory.hpp"

namespace sluice::bench {

inline constexpr std::chrono::seconds kRunDeadline{20};

/// Runs first(end, result) in one process and second(end, result) in another, each with its end of a channel
/// C; the result is in memory that both share. Throws std::runtime_error if one of them failed or did not
/// end.
template <class C, class Result, class First, class Second>
Result run_between(const Cores& cores, const ChannelOptions& options, First first, Second second) {
  const Shared<Result> result;
  const Shared<Meeting> meeting;
  C channel(options);
  run_pair(cores, kRunDeadline, [&](Side side) {
    auto end = channel.open(side);
    meeting->arrive_and_wait();
    if (side == Side::first) {
      first(end, *result);
    } else {
      second(end, *result);
    }
    meeting->arrive_and_wait();  // neither closes while the other may still read
  });
  return *result;
}

/// Round trips through channel C. Throws std::runtime_error if a message was wrong or the run did not end.
template <class C>
Histogram measure_round_trip(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  return run_between<C, Histogram>(
      cores, options,
      [&](auto& end, Histogram& histogram) { ping(end, options.message_bytes, plan, histogram); },
      [&](auto& end, Histogram&) { pong(end, options.message_bytes); });
}

/// One way, first process to second. `transmit(end, flags)` sends the next message, `check(message)` verifies
/// the next one and returns its first word; each is used in one process only.
template <class C, class Transmit, class Check>
StreamResult measure_stream(const Cores& cores, const ChannelOptions& options, const RunPlan& plan,
                            Transmit transmit, Check check) {
  return run_between<C, StreamResult>(
      cores, options,
      [&](auto& end, StreamResult&) {
        stream(end, plan, [&](std::uint64_t flags) { transmit(end, flags); });
      },
      [&](auto& end, StreamResult& result) { drain(end, result, check); });
}

/// Messages a second through channel C by copying each message in.
template <class C>
StreamResult measure_one_way(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  Source source(options.message_bytes);
  Checker checker(options.message_bytes);
  return measure_stream<C>(
      cores, options, plan, [&](auto& end, std::uint64_t flags) { end.send(source.next(flags)); },
      [&](Bytes message) { return checker.check(message); });
}

/// The same where the producer computes each message right in the channel's memory.
template <class C>
StreamResult measure_in_place(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  std::uint64_t sequence = 0;
  return measure_stream<C>(
      cores, options, plan,
      [&](auto& end, std::uint64_t flags) {
        end.produce(options.message_bytes,
                    [&](std::span<std::byte> room) { generate(room, sequence++, flags); });
      },
      [&](Bytes message) { return check_generated(message, sequence++); });
}

/// The same where the producer computes each message in its own memory and the channel copies it.
template <class C>
StreamResult measure_generated(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  std::uint64_t sequence = 0;
  std::vector<std::uint64_t> words(options.message_bytes / sizeof(std::uint64_t));
  const auto room = std::as_writable_bytes(std::span(words));
  return measure_stream<C>(
      cores, options, plan,
      [&](auto& end, std::uint64_t flags) {
        generate(room, sequence++, flags);
        end.send(room);
      },
      [&](Bytes message) { return check_generated(message, sequence++); });
}

}  // namespace sluice::bench
