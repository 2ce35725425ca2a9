// The store-load barriers between a publisher and a sleeper.
//
// A publisher stores a position, then looks whether somebody sleeps for it. A sleeper announces what it waits
// for, then looks once more whether that has come. Each needs a full barrier between its store and its load.
// The asymmetric pair moves the cost to the sleeper: its membarrier system call makes every running thread of
// every registered process execute a full barrier, so that the publisher needs only to keep the compiler from
// reordering.
#pragma once

#include <atomic>

#pragma GCC visibility push(default)

namespace sluice::ring {

#if defined(__SANITIZE_THREAD__)
#define SLUICE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_TSAN 1
#endif
#endif

/// A full barrier. ThreadSanitizer doesn't model fences; none of the happens-before edges that it checks
/// rests on one.
inline void full_barrier() noexcept {
#ifdef SLUICE_TSAN
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
  std::atomic_thread_fence(std::memory_order_seq_cst);
#ifdef SLUICE_TSAN
#pragma GCC diagnostic pop
#endif
}

/// Orders a relaxed store before every later store: the writer's half of reading history.
inline void release_barrier() noexcept {
#ifdef SLUICE_TSAN
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
  std::atomic_thread_fence(std::memory_order_release);
#ifdef SLUICE_TSAN
#pragma GCC diagnostic pop
#endif
}

/// Orders every earlier load before a later one: the reader's half of reading history.
inline void acquire_barrier() noexcept {
#ifdef SLUICE_TSAN
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
  std::atomic_thread_fence(std::memory_order_acquire);
#ifdef SLUICE_TSAN
#pragma GCC diagnostic pop
#endif
}

/// The publisher's barrier: light if the sleeper issues a membarrier.
inline void publisher_barrier(bool light) noexcept {
  if (light) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    full_barrier();
  }
}

/// Registers this process as a target of global expedited membarriers, once. True if the kernel has them.
bool register_barrier_target() noexcept;

/// The sleeper's barrier: a membarrier if `asymmetric`, else a full barrier.
void sleeper_barrier(bool asymmetric) noexcept;

}  // namespace sluice::ring

#pragma GCC visibility pop
