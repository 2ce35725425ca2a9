#include "futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

namespace sluice::ring {
namespace {

/// The steady clock is CLOCK_MONOTONIC, the clock that FUTEX_WAIT_BITSET takes its absolute timeout from.
timespec to_timespec(Deadline deadline) noexcept {
  // The kernel refuses a time before the clock's beginning.
  const auto since_boot = std::max(deadline, Deadline{}).time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot - seconds);
  return {static_cast<std::time_t>(seconds.count()), static_cast<long>(rest.count())};
}

}  // namespace

bool futex_wait(const std::atomic<std::uint64_t>& word, std::uint32_t expected, Deadline deadline) noexcept {
  const timespec until = to_timespec(deadline);
  const timespec* timeout = deadline == kNoDeadline ? nullptr : &until;
  const long result = ::syscall(SYS_futex, static_cast<const void*>(&word), FUTEX_WAIT_BITSET, expected,
                                timeout, nullptr, FUTEX_BITSET_MATCH_ANY);
  if (result == 0 || errno == EAGAIN || errno == EINTR) return true;
  // Timed out, or a failure of the call itself, which then must not outlast the deadline either.
  return errno != ETIMEDOUT && std::chrono::steady_clock::now() < deadline;
}

int futex_wake(const std::atomic<std::uint64_t>& word) noexcept {
  return static_cast<int>(
      ::syscall(SYS_futex, static_cast<const void*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0));
}

}  // namespace sluice::ring
