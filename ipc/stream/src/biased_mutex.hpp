// A mutex that costs its first user next to nothing until another thread wants it.
//
// The first thread to lock it becomes the owner. As long as nobody else comes, the owner locks with a store
// and a load, without an atomic read-modify-write and without a barrier. The first other thread takes that
// privilege away, once and for good: it stores `claimed_`, makes every running thread execute a full barrier
// (see ring/barrier.hpp), and waits until the owner is outside. From then on this is an ordinary mutex.
//
//   owner:  inside_ = 1; (compiler barrier); claimed_?       other:  claimed_ = 1; membarrier; inside_?
//
// Whichever side of the owner's two steps the barrier meets, at least one of the two sees the other.
#pragma once

#include <atomic>
#include <mutex>

#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {

/// Meets the standard's BasicLockable. Where the kernel has no such barrier, an ordinary mutex from the
/// start.
class BiasedMutex {
 public:
  BiasedMutex() noexcept : claimed_(!ring::register_barrier_target()) {}
  BiasedMutex(const BiasedMutex&) = delete;
  BiasedMutex& operator=(const BiasedMutex&) = delete;

  void lock() {
    if (owner_.load(std::memory_order_relaxed) == this_thread() && enter()) [[likely]] {
      biased_ = true;
      return;
    }
    lock_slowly();
  }

  void unlock() {
    if (biased_) [[likely]] {
      biased_ = false;
      inside_.store(false, std::memory_order_release);  // [OUTSIDE] pairs with revoke()
    } else {
      mutex_.unlock();
    }
  }

 private:
  /// Differs between threads that run at the same time. A later thread that gets the same one was made after
  /// the first had ended, and the C library, which hands out both stacks, orders the two.
  static const void* this_thread() noexcept {
    static thread_local const char place = 0;
    return &place;
  }

  /// By the owner: false where another thread has come.
  bool enter() noexcept {
    inside_.store(true, std::memory_order_relaxed);
    ring::publisher_barrier(true);
    // Acquire pairs with the release in revoke(): nothing but the decision rests on it.
    if (!claimed_.load(std::memory_order_acquire)) [[likely]]
      return true;
    inside_.store(false, std::memory_order_release);
    return false;
  }

  void lock_slowly();
  void revoke() noexcept;

  std::mutex mutex_;
  std::atomic<bool> claimed_;                // set once, under mutex_: from then on mutex_ alone decides
  std::atomic<bool> inside_{false};          // written by the owner only
  std::atomic<const void*> owner_{nullptr};  // the first thread; set once
  bool biased_ = false;  // of who has the lock: it is the owner, and has it without mutex_
};

}  // namespace sluice::ipc
