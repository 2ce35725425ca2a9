// Two ports of one process, connected to each other.
#pragma once

#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/port/port_options.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Two connected ports over the same regions and rings as between two processes: for tests, and for threads.
/// Throws sluice::error: errc::bad_option, or a system error.
std::pair<Port, Port> make_port_pair(const PortOptions& first = {}, const PortOptions& second = {});

}  // namespace sluice

#pragma GCC visibility pop
