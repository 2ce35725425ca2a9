// What the threads of a transfer agree on: how many may cipher, whose turn it is to deliver, and who failed
// first.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>

namespace sluice::crypto {

/// Runs are numbered from 0, taken in that order and delivered in that order. Any thread may call anything.
///
/// Invariant: every run before the first that failed gets its turn, as if one thread had done them all.
class RunOrder {
 public:
  static constexpr std::uint64_t kNoRun = std::numeric_limits<std::uint64_t>::max();

  /// From now on a wait polls before it sleeps: waits are shorter than a sleep, as long as every thread has a
  /// processor. To be called before there are several threads.
  void poll_before_sleeping() noexcept { polls_ = true; }

  /// A lock that may be polled for.
  std::unique_lock<std::mutex> lock(std::mutex& mutex) const;

  /// Waits until fewer than `limit` runs are in the cipher; false where an earlier run has failed.
  [[nodiscard]] bool enter_cipher(std::uint64_t run, unsigned limit);
  void leave_cipher() { advance(ciphered_); }

  /// Waits until all earlier runs are delivered; false where one has failed.
  [[nodiscard]] bool await_turn(std::uint64_t run);
  void pass_turn() { advance(delivered_); }

  /// Keeps the current exception if no earlier run has failed: it is the one that a single thread would have
  /// met. kNoRun: the failure of a thread without a run.
  void fail(std::uint64_t run) noexcept;
  bool failed() const noexcept { return any_failed_.load(std::memory_order_relaxed); }

  /// Throws what was kept, when all threads are joined.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  template <typename Ready>
  void wait(Ready ready);
  void advance(std::atomic<std::uint64_t>& count);
  bool failed_before(std::uint64_t run) const noexcept;

  bool polls_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Stored under the mutex, so that no sleeper misses a change; release, pairs with the acquire of a poll.
  std::atomic<std::uint64_t> ciphered_{0};   // runs that have left the cipher
  std::atomic<std::uint64_t> delivered_{0};  // runs that have passed the turn on
  std::atomic<std::uint64_t> failed_run_{kNoRun};
  // A hint to take no more runs: relaxed, nothing is read on its strength.
  std::atomic<bool> any_failed_{false};
  std::exception_ptr failure_;
};

}  // namespace sluice::crypto
