#include "biased_mutex.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace sluice::ipc {

void BiasedMutex::lock_slowly() {
  const void* none = nullptr;
  // Relaxed: only the thread that stored its own name ever finds it there.
  if (owner_.compare_exchange_strong(none, this_thread(), std::memory_order_relaxed) && enter()) {
    biased_ = true;
    return;
  }
  mutex_.lock();
  if (!claimed_.load(std::memory_order_relaxed)) revoke();
}

/// With mutex_. Returns when the owner, if it was inside, has left.
void BiasedMutex::revoke() noexcept {
  claimed_.store(true, std::memory_order_release);
  ring::sleeper_barrier(true);
  // What the owner protects with this mutex is short, or waits for the peer: then there's no hurry.
  constexpr auto kLongestPause = std::chrono::milliseconds(1);
  auto pause = std::chrono::nanoseconds(1000);
  while (inside_.load(std::memory_order_acquire)) {  // [OUTSIDE]
    std::this_thread::sleep_for(pause);
    pause = std::min<std::chrono::nanoseconds>(2 * pause, kLongestPause);
  }
}

}  // namespace sluice::ipc
