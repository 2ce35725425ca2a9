#include "sluice/ring/detail/publisher_barrier.hpp"

namespace sluice::ring {

void PublisherBarrier::note_sleeper() noexcept {
  left_ = kFullAfterSleeper;
  if (!light_) return;
  light_ = false;
  word_->store(kFullBarrier, std::memory_order_relaxed);  // [BARRIER]
}

void PublisherBarrier::follow(bool possible) noexcept {
  possible_ = possible;
  left_ = 1;
  if (possible) return pass_full();
  light_ = false;
  word_->store(kFullBarrier, std::memory_order_relaxed);  // [BARRIER]
}

void PublisherBarrier::pass_full() noexcept {
  if (possible_ && --left_ == 0) {
    light_ = true;
    word_->store(kLightBarrier,
                 std::memory_order_relaxed);  // [BARRIER] before the full barrier, which orders it
  }
  full_barrier();
}

}  // namespace sluice::ring
