#include "sluice/base/deadline.hpp"

namespace sluice {

Deadline deadline_in(std::chrono::nanoseconds timeout) noexcept {
  const Deadline now = std::chrono::steady_clock::now();
  return timeout >= kNoDeadline - now ? kNoDeadline : now + timeout;
}

}  // namespace sluice
