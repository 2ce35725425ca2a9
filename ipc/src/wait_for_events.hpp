// Waiting for a descriptor until a deadline.
#pragma once

#include <chrono>

namespace sluice::detail {

using Deadline = std::chrono::steady_clock::time_point;

/// Waits until poll() reports one of `events` (or an error or hang-up) on `fd`; false when the deadline
/// passed first. A deadline in the past still asks once. Interruptions by signals are retried with what
/// remains of the time.
bool wait_for_events(int fd, short events, Deadline deadline);

}  // namespace sluice::detail
