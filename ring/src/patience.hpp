// A deadline for long walks over records.
#pragma once

#include <chrono>
#include <cstdint>

#include "sluice/base/deadline.hpp"

namespace sluice::ring {

class Patience {
 public:
  explicit Patience(Deadline deadline) noexcept : deadline_(deadline) {}

  /// Once a step: looks at the clock at every 4096th only.
  bool is_over() noexcept {
    constexpr std::uint64_t kSteps = 4096;
    return ++steps_ % kSteps == 0 && std::chrono::steady_clock::now() >= deadline_;
  }

 private:
  Deadline deadline_;
  std::uint64_t steps_ = 0;
};

}  // namespace sluice::ring
