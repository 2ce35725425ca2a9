// What ports that aren't connected stand on.
#pragma once

#include "sluice/ring/history.hpp"

#pragma GCC visibility push(default)

namespace sluice::ipc {

class PortCore;

/// Closed: every call on it says so, and writes nothing, so that any number of threads may share it.
PortCore& closed_core() noexcept;

/// A reader that finds nothing.
ring::HistoryReader closed_history() noexcept;

}  // namespace sluice::ipc

#pragma GCC visibility pop
