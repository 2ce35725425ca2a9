// What the calls of a port reach if it isn't connected, or if its messages go to handlers.
#pragma once

#include "sluice/ring/history.hpp"

#pragma GCC visibility push(default)

namespace sluice::ipc {

class PortCore;

/// Closed: every call on it says so, and writes nothing, so that any number of threads may share it.
PortCore& closed_core() noexcept;

/// The same, but every call says misuse: nothing is received by calls once handlers get the messages.
PortCore& delivering_core() noexcept;

/// A reader that finds nothing.
ring::HistoryReader closed_history() noexcept;

}  // namespace sluice::ipc

#pragma GCC visibility pop
