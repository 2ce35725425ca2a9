#include "report.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace demo {
namespace {

constexpr double kMib = 1024.0 * 1024.0;
constexpr std::chrono::milliseconds kRedraw{100};

double seconds(std::chrono::nanoseconds time) {
  return std::max(1e-9, std::chrono::duration<double>(time).count());
}

double mib_per_second(std::uint64_t bytes, std::chrono::nanoseconds time) {
  return static_cast<double>(bytes) / kMib / seconds(time);
}

/// The smallest latency that `share` of all don't exceed, in microseconds. `sorted` isn't empty.
double percentile(const std::vector<std::chrono::nanoseconds>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return std::chrono::duration<double, std::micro>(sorted.at(std::max<std::size_t>(rank, 1) - 1)).count();
}

}  // namespace

LiveLine::LiveLine(std::string label) : label_(std::move(label)), on_(::isatty(STDOUT_FILENO) == 1) {}

LiveLine::~LiveLine() {
  if (!on_) return;
  fmt::print("\r\x1b[K");
  std::fflush(stdout);
}

void LiveLine::show(std::uint64_t bytes, std::chrono::nanoseconds elapsed) {
  if (!on_ || elapsed < next_) return;
  next_ = elapsed + kRedraw;
  fmt::print("\r  {}: {:.0f} MiB/s, {:.1f} s\x1b[K", label_, mib_per_second(bytes, elapsed),
             seconds(elapsed));
  std::fflush(stdout);
}

void print_throughput(const FlightResult& result, const Lap& lap) {
  fmt::print(
      "  throughput     {:8.0f} MiB/s   {:.0f} MiB in {:.2f} s, records of {} KiB, as many in flight as "
      "fit\n",
      mib_per_second(result.bytes, result.time), static_cast<double>(result.bytes) / kMib,
      seconds(result.time), lap.record_bytes / 1024);
  fmt::print("  SHA-256 alone  {:8.0f} MiB/s   the same work in one process, without the port\n\n",
             mib_per_second(lap.bytes.size(), lap.time_alone));
}

void print_latency_heading(const Lap& lap) {
  fmt::print("  latency in microseconds, from a record of {} KiB sent to its answer received\n",
             lap.record_bytes / 1024);
  fmt::print("  {:>9}  {:>8}  {:>8}  {:>8}  {:>8}  {:>9}  {:>10}\n", "in flight", "p50", "p90", "p99",
             "p99.9", "max", "records/s");
}

void print_latency(const FlightResult& result, std::uint64_t in_flight) {
  std::vector<std::chrono::nanoseconds> sorted = result.latencies;
  std::ranges::sort(sorted);
  fmt::print("  {:>9}", in_flight);
  for (const double share : {0.5, 0.9, 0.99, 0.999}) fmt::print("  {:8.1f}", percentile(sorted, share));
  fmt::print("  {:9.1f}  {:10.0f}\n", percentile(sorted, 1.0),
             static_cast<double>(result.records) / seconds(result.time));
  std::fflush(stdout);
}

}  // namespace demo
