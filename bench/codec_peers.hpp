// The groups of bench_codec that are about peers.
#pragma once

#include "harness/suite.hpp"

namespace sluice::bench {

/// What does a call cost over the round trip of its port?
void add_calls(Suite& suite);
/// What does an update of an observed state cost, beside idle streams?
void add_streams(Suite& suite);

}  // namespace sluice::bench
