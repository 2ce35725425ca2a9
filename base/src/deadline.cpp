#include "sluice/base/deadline.hpp"

namespace sluice {

Deadline deadline_in(Duration timeout) noexcept {
  const Deadline now = std::chrono::steady_clock::now();
  if (timeout <= Duration::zero()) return now;
  return timeout >= kNoDeadline - now ? kNoDeadline : now + timeout;
}

}  // namespace sluice
