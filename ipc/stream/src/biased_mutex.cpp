#include "biased_mutex.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace sluice::ipc {

void BiasedMutex::lock_slowly(Party party) {
  mutex_.lock();
  slow_locks_.store(slow_locks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  // Relaxed: written under mutex_.
  const Party owner = owner_.load(std::memory_order_relaxed);
  if (owner != Party::other && owner != party) revoke(owner);
  const bool alone =
      can_bias_ && party != Party::other && users_.load(std::memory_order_relaxed) == bit(party);
  if (alone) owner_.store(party, std::memory_order_relaxed);  // from the next lock on; this one has mutex_
}

/// With mutex_. Returns when the owner, if it was inside, has left.
void BiasedMutex::revoke(Party owner) noexcept {
  owner_.store(Party::other, std::memory_order_release);
  ring::sleeper_barrier(true);
  // What the owner protects with this mutex is short, or waits for the peer: then there's no hurry.
  constexpr auto kLongestPause = std::chrono::milliseconds(1);
  auto pause = std::chrono::nanoseconds(1000);
  while (inside(owner).load(std::memory_order_acquire)) {  // [OUTSIDE]
    std::this_thread::sleep_for(pause);
    pause = std::min<std::chrono::nanoseconds>(2 * pause, kLongestPause);
  }
}

}  // namespace sluice::ipc
