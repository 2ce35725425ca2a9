// Waiting for a descriptor until a deadline.
#pragma once

#include <poll.h>

#include <span>

#include "sluice/base/deadline.hpp"
#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// Waits until poll() reports one of `events` (or an error or hang-up) on `fd`; false when the deadline
/// passed first. A deadline in the past still asks once. Interruptions by signals are retried with what
/// remains of the time.
bool wait_for_events(int fd, short events, Deadline deadline);

/// The same for several descriptors, each with its own events; their revents tell what came.
bool wait_for_any_event(std::span<pollfd> entries, Deadline deadline);

/// Whether there is something to read, or the other end is gone, right now; false for a descriptor of -1.
bool is_readable(int fd) noexcept;

}  // namespace sluice::base

#pragma GCC visibility pop
