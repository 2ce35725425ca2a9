// The group of bench_codec that is about filters.
#pragma once

#include "harness/suite.hpp"

namespace sluice::bench {

/// What does a filter cost that drops a value, over packing that value?
void add_filters(Suite& suite);

}  // namespace sluice::bench
