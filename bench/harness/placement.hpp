// How far apart the two processors are while something is measured. The scheduler of a virtual machine's host
// moves them: the same program's round trip may be four times longer a second later.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cores.hpp"

namespace sluice::bench {

/// Distance of the two processors, by the round trip of a bare cache line, and by whether one is slower while
/// the other computes.
enum class Distance : std::uint8_t {
  same_core,  ///< two threads of one core, which take each other's execution units
  near,       ///< two cores, less than 200 ns: they share a cache
  far,        ///< 200 ns or more: they don't
};

inline constexpr std::array kDistances{Distance::same_core, Distance::near, Distance::far};

std::string_view to_string(Distance distance) noexcept;

/// What was seen around the parts of one run. At least one probe is made before anything is asked.
class Placement {
 public:
  /// Measures for about two milliseconds and keeps the result.
  void probe(const Cores& cores);

  /// Whether the processors stayed where they were: all probes at one distance, their lines within a factor
  /// of 1.5.
  bool steady() const;
  /// The middle probe's cache line, in ns.
  double line_ns() const;
  /// As the last probe saw it.
  Distance distance() const { return distances_.back(); }

 private:
  std::vector<double> lines_ns_;
  std::vector<Distance> distances_;
};

/// For how long, in ns since the machine started, some runnable thread had no processor; 0 where the kernel
/// doesn't say. Two pinned processes alone on the machine add nothing to it.
std::uint64_t cpu_shortage_ns();

}  // namespace sluice::bench
