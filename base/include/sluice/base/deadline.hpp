// Points in time until which a call may wait.
#pragma once

#include <chrono>

#pragma GCC visibility push(default)

namespace sluice {

/// A point of the steady clock, or kNoDeadline.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

/// The deadline that lies `timeout` from now; a timeout too far away to add is kNoDeadline.
Deadline deadline_in(std::chrono::nanoseconds timeout) noexcept;

}  // namespace sluice

#pragma GCC visibility pop
