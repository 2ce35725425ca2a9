#include "flight.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>

namespace demo {

using Clock = std::chrono::steady_clock;

bool post(sluice::Port& port, std::span<const std::byte> record) {
  const sluice::Status status = port.try_post_message(record);
  if (status != sluice::Status::ok && status != sluice::Status::would_block) throw PortEnded{status};
  return status == sluice::Status::ok;
}

bool came(const sluice::Message& message) {
  if (!message && message.status() != sluice::Status::would_block) throw PortEnded{message.status()};
  return static_cast<bool>(message);
}

FlightResult fly(sluice::Port& port, const Lap& lap, const Flight& flight, const Progress& progress) {
  const bool bounded = flight.max_in_flight != kFullFlight;
  std::vector<Clock::time_point> sent_at(bounded ? flight.max_in_flight : 1);  // of the records in flight
  const auto start = Clock::now();
  std::uint64_t sent = 0;
  FlightResult result;

  const auto send = [&] {
    const auto now = Clock::now();
    if (!post(port, lap.record(sent % lap.size()))) return false;
    sent_at.at(sent++ % sent_at.size()) = now;
    return true;
  };
  const auto take = [&](sluice::Message message) {
    if (!came(message)) return false;
    const auto now = Clock::now();
    const std::uint64_t index = result.records % lap.size();
    if (!std::ranges::equal(message.bytes(), lap.answers.at(index))) {
      throw std::runtime_error(fmt::format("record {} of lap {}: the worker's SHA-256 differs from ours",
                                           index, result.records / lap.size()));
    }
    message.release();
    if (bounded) result.latencies.push_back(now - sent_at.at(result.records % sent_at.size()));
    ++result.records;
    result.bytes += lap.record(index).size();
    result.time = now - start;
    progress(result.bytes, result.time);
    return true;
  };
  const auto all_sent = [&] { return sent > 0 && sent % lap.size() == 0 && result.time >= flight.time; };
  while (!all_sent() || result.records < sent) {
    take_turn(port, !all_sent() && sent - result.records < flight.max_in_flight, send, take);
  }
  result.laps = sent / lap.size();
  return result;
}

}  // namespace demo
