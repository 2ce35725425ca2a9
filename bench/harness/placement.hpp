// How far apart the two processors are while something is measured. The scheduler of a virtual machine's host
// moves them: the same program's round trip may be four times longer a second later.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cores.hpp"

namespace sluice::bench {

/// Distance of the two processors, by the round trip of a bare cache line.
enum class Distance : bool {
  near,  ///< less than 200 ns: they share a cache
  far,   ///< 200 ns or more: they don't
};

std::string_view to_string(Distance distance) noexcept;

constexpr Distance other(Distance distance) noexcept {
  return distance == Distance::near ? Distance::far : Distance::near;
}

/// The cache-line round trips seen around the parts of one run.
class Placement {
 public:
  /// Measures for about a millisecond and keeps the result.
  void probe(const Cores& cores);

  /// Whether the processors stayed where they were: all probes within a factor of 1.5.
  bool steady() const;
  /// The middle probe, in ns. At least one probe was made.
  double line_ns() const;
  Distance distance() const;

 private:
  std::vector<double> probes_ns_;
};

/// For how long, in ns since the machine started, some runnable thread had no processor; 0 where the kernel
/// doesn't say. Two pinned processes alone on the machine add nothing to it.
std::uint64_t cpu_shortage_ns();

}  // namespace sluice::bench
