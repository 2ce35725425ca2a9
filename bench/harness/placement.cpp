#include "placement.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include "floors/cache_line.hpp"
#include "report.hpp"

namespace sluice::bench {
namespace {

constexpr double kFarFromNs = 200;
constexpr double kSteadyFactor = 1.5;
constexpr RunPlan kProbe{.warm_up_ns = 300'000, .measured_ns = 1'000'000};

}  // namespace

std::string_view to_string(Distance distance) noexcept {
  return distance == Distance::near ? "near" : "far";
}

void Placement::probe(const Cores& cores) {
  probes_ns_.push_back(measure_cache_line(cores, kProbe).middle_mean());
}

bool Placement::steady() const {
  const auto [least, most] = std::minmax_element(probes_ns_.begin(), probes_ns_.end());
  return *most < *least * kSteadyFactor;
}

double Placement::line_ns() const {
  return median_of(probes_ns_);
}

std::uint64_t cpu_shortage_ns() {
  // Pressure stall information: "some avg10=0.00 avg60=0.00 avg300=0.00 total=<microseconds>".
  std::ifstream file("/proc/pressure/cpu");
  std::string line;
  std::getline(file, line);
  const auto at = line.find("total=");
  return at == std::string::npos ? 0 : std::strtoull(line.c_str() + at + 6, nullptr, 10) * 1000;
}

Distance Placement::distance() const {
  return line_ns() < kFarFromNs ? Distance::near : Distance::far;
}

}  // namespace sluice::bench
