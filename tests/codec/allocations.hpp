// Counts what this thread allocates.
#pragma once

#include <cstddef>

namespace sluice::test {

struct Allocations {
  std::size_t count = 0;
  std::size_t bytes = 0;
};

/// All of this thread's so far.
Allocations allocations() noexcept;

}  // namespace sluice::test
