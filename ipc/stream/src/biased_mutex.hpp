// A mutex that costs next to nothing while one party uses it, and is an ordinary one while two do.
//
// The parties are the two directions of a port stream: one thread at a time sends, one receives. While only
// one of them has joined, the mutex becomes its own: it locks with a store and a load, without an atomic
// read-modify-write. Whoever else comes takes that privilege away: it clears `owner_`, makes every running
// thread execute a full barrier (see ring/detail/barrier.hpp), and waits until the owner is outside. Once the
// other party has left, the next lock gives the privilege back.
//
//   owner:  inside_ = 1; (compiler barrier); owner_ == me?       other:  owner_ = nobody; membarrier; inside_?
//
// Whichever side of the owner's two steps the barrier meets, at least one of the two sees the other.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {

/// Who locks. A party is one thread at a time; `other` is any number, and never gets the privilege.
enum class Party : std::uint8_t { sender, receiver, other };

/// Where the kernel has no such barrier, an ordinary mutex.
class BiasedMutex {
 public:
  BiasedMutex() noexcept : can_bias_(ring::register_barrier_target()) {}
  BiasedMutex(const BiasedMutex&) = delete;
  BiasedMutex& operator=(const BiasedMutex&) = delete;

  /// From join to leave a party is expected to lock; it may lock at other times, too. Any thread.
  void join(Party party) noexcept { users_.fetch_or(bit(party), std::memory_order_relaxed); }
  void leave(Party party) noexcept {
    users_.fetch_and(static_cast<std::uint8_t>(~bit(party)), std::memory_order_relaxed);
  }

  void lock(Party party) {
    if (party != Party::other && owner_.load(std::memory_order_relaxed) == party && enter(party)) [[likely]] {
      biased_ = true;
      return;
    }
    lock_slowly(party);
  }

  void unlock(Party party) {
    if (biased_) [[likely]] {
      biased_ = false;
      inside(party).store(false, std::memory_order_release);  // [OUTSIDE] pairs with revoke()
    } else {
      mutex_.unlock();
    }
  }

  /// How often the privilege didn't do. Any thread.
  std::uint64_t slow_locks() const noexcept { return slow_locks_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint8_t bit(Party party) noexcept {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(party));
  }
  std::atomic<bool>& inside(Party party) noexcept { return inside_[static_cast<std::size_t>(party)]; }

  /// False if the mutex isn't the party's own any more.
  bool enter(Party party) noexcept {
    inside(party).store(true, std::memory_order_relaxed);
    ring::publisher_barrier(true);
    // Acquire pairs with the release in revoke(): nothing but the decision rests on it.
    if (owner_.load(std::memory_order_acquire) == party) [[likely]]
      return true;
    inside(party).store(false, std::memory_order_release);
    return false;
  }

  void lock_slowly(Party party);
  void revoke(Party owner) noexcept;

  const bool can_bias_;
  bool biased_ = false;                     // of who has the lock: it is the owner, and has it without mutex_
  std::atomic<Party> owner_{Party::other};  // written under mutex_; `other` is nobody
  std::array<std::atomic<bool>, 2> inside_{};  // each written by its party only
  std::atomic<std::uint8_t> users_{0};         // who has joined: a hint, relaxed
  std::atomic<std::uint64_t> slow_locks_{0};   // written under mutex_; relaxed: a count
  std::mutex mutex_;
};

/// Holds the mutex as a party. Meets the standard's BasicLockable.
class BiasedLock {
 public:
  BiasedLock(BiasedMutex& mutex, Party party) : mutex_(mutex), party_(party) { lock(); }
  BiasedLock(const BiasedLock&) = delete;
  BiasedLock& operator=(const BiasedLock&) = delete;
  ~BiasedLock() {
    if (held_) unlock();
  }
  void lock() {
    mutex_.lock(party_);
    held_ = true;
  }
  void unlock() {
    held_ = false;
    mutex_.unlock(party_);
  }
  Party party() const noexcept { return party_; }

 private:
  BiasedMutex& mutex_;
  const Party party_;
  bool held_ = false;
};

}  // namespace sluice::ipc
