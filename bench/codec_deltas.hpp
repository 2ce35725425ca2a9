// The groups of bench_codec that are about deltas.
#pragma once

#include "harness/suite.hpp"

namespace sluice::bench {

/// What does an update of a large state cost, in time and bytes, sent as a delta over sent in full?
void add_deltas(Suite& suite);

}  // namespace sluice::bench
