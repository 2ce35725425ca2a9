// One run of one channel: two processes, one number or one histogram.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "channel.hpp"
#include "shared_memory.hpp"

namespace sluice::bench {

inline constexpr std::chrono::seconds kRunDeadline{20};

/// Round trips through channel C. Throws std::runtime_error if a message was wrong or the run did not end.
template <class C>
Histogram measure_round_trip(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  const Shared<Histogram> histogram;
  const Shared<Meeting> meeting;
  C channel(options);
  run_pair(cores, kRunDeadline, [&](Side side) {
    auto end = channel.open(side);
    meeting->arrive_and_wait();
    if (side == Side::first) {
      ping(end, options.message_bytes, plan, *histogram);
    } else {
      pong(end, options.message_bytes);
    }
    meeting->arrive_and_wait();  // neither closes while the other may still read
  });
  return *histogram;
}

/// Messages a second through channel C, first process to second, by copying each message in.
template <class C>
StreamResult measure_one_way(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  const Shared<StreamResult> result;
  const Shared<Meeting> meeting;
  C channel(options);
  run_pair(cores, kRunDeadline, [&](Side side) {
    auto end = channel.open(side);
    meeting->arrive_and_wait();
    if (side == Side::first) {
      Source source(options.message_bytes);
      stream(end, plan, [&](std::uint64_t flags) { end.send(source.next(flags)); });
    } else {
      Checker checker(options.message_bytes);
      drain(end, *result, [&](Bytes message) { return checker.check(message); });
    }
    meeting->arrive_and_wait();
  });
  return *result;
}

/// The same where the producer writes each message in place.
template <class C>
StreamResult measure_in_place(const Cores& cores, const ChannelOptions& options, const RunPlan& plan) {
  const Shared<StreamResult> result;
  const Shared<Meeting> meeting;
  C channel(options);
  run_pair(cores, kRunDeadline, [&](Side side) {
    auto end = channel.open(side);
    meeting->arrive_and_wait();
    std::uint64_t sequence = 0;
    if (side == Side::first) {
      stream(end, plan, [&](std::uint64_t flags) {
        end.produce(options.message_bytes,
                    [&](std::span<std::byte> room) { generate(room, sequence++, flags); });
      });
    } else {
      drain(end, *result, [&](Bytes message) { return check_generated(message, sequence++); });
    }
    meeting->arrive_and_wait();
  });
  return *result;
}

}  // namespace sluice::bench
