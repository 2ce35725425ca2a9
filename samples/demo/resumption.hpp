// The demo's last part: the worker is killed in the middle of a stream and started again, and nothing is
// lost.
#pragma once

#include "lap.hpp"

namespace demo {

/// Streams the lap, again and again if it is short, to a worker that sends it back; kills the worker twice on
/// the way; checks the SHA-256 of what came back. Prints what happened. Throws PortEnded, and
/// std::runtime_error if something is lost.
void show_resumption(const Lap& lap);

}  // namespace demo
