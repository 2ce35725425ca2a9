// What the demo prints: a live line on a terminal, results everywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "flight.hpp"

namespace demo {

/// A line that is drawn over and over on a terminal, at most ten times a second; elsewhere nothing. Gone when
/// destroyed.
class LiveLine {
 public:
  explicit LiveLine(std::string label);
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;
  ~LiveLine();

  void show(std::uint64_t bytes, std::chrono::nanoseconds elapsed);

 private:
  std::string label_;
  bool on_;
  std::chrono::nanoseconds next_{};
};

void print_throughput(const FlightResult& result, const Lap& lap);
void print_latency_heading(const Lap& lap);
void print_latency(const FlightResult& result, std::uint64_t in_flight);

}  // namespace demo
