#include "spin.hpp"

#include <unistd.h>

namespace sluice::ring {

bool spinning_helps() noexcept {
  // The machine's CPUs, not this thread's affinity: a thread pinned to one core may well spin for a peer on
  // another.
  static const bool helps = ::sysconf(_SC_NPROCESSORS_ONLN) > 1;
  return helps;
}

std::chrono::nanoseconds longest_spin(const WaitOptions& options) noexcept {
  if (options.strategy != WaitStrategy::adaptive || !spinning_helps())
    return std::chrono::nanoseconds::zero();
  return options.longest_spin;
}

}  // namespace sluice::ring
