// The first process's work: streams laps to the worker and checks every answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "lap.hpp"
#include "sluice/ipc/port/port.hpp"

namespace demo {

/// The port ended before the stream did.
struct PortEnded {
  sluice::Status status;
};

/// One turn of a process that sends records and takes what comes back: sends if it may and the ring has room,
/// and takes everything that is there; else waits for something to take. Posting never waits: the worker
/// could be waiting for room too, for its answers. Both functions say whether there was anything to do.
/// Throws PortEnded.
bool post(sluice::Port& port, std::span<const std::byte> record);
bool came(const sluice::Message& message);
template <class Send, class Take>
void take_turn(sluice::Port& port, bool may_send, Send send, Take take) {
  if (may_send && send()) {
    while (take(port.try_receive())) {
    }
  } else {
    take(port.receive());
  }
}

/// No bound: as many records as the ring holds are under way.
inline constexpr std::uint64_t kFullFlight = std::numeric_limits<std::uint64_t>::max();

struct Flight {
  std::uint64_t max_in_flight = kFullFlight;  ///< records that are sent and not answered
  std::chrono::nanoseconds time{};            ///< whole laps are streamed until this has passed
};

struct FlightResult {
  std::uint64_t laps = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds time{};
  /// From just before a record is posted until its answer is here; only with a bound.
  std::vector<std::chrono::nanoseconds> latencies;
};

/// Called after every answer with the bytes answered for and the time since the start.
using Progress = std::function<void(std::uint64_t bytes, std::chrono::nanoseconds elapsed)>;

/// Streams the lap over and over. Throws PortEnded, and std::runtime_error if an answer isn't the expected
/// one.
FlightResult fly(sluice::Port& port, const Lap& lap, const Flight& flight, const Progress& progress);

}  // namespace demo
