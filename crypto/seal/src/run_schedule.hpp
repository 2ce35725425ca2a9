// What a thread of a transfer does next. A transfer moves runs of chunks, each through three steps: it is
// read, ciphered, delivered. Any thread may do any step of any run, so that no thread waits for a slower one
// while there is something to do; a thread that keeps up does all three steps of its run, in its own cache.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

namespace sluice::crypto {

enum class Step { read, cipher, deliver, none };

/// One step of one run, which the thread that got it does alone.
struct Task {
  Step step = Step::none;  // none: the thread is done
  std::uint64_t run = 0;   // numbered from 0, in the order of the stream
};

/// Invariants: runs are read one at a time, in order; at most `workers` are in the cipher; they are delivered
/// one at a time, in order; at most `places` runs are read and not yet delivered, so that run % places is a
/// run's own place. Every run before the first that failed is delivered, as if one thread had done them all.
///
/// Any thread may call anything. What a thread did in a step is seen by the thread that does the run's next
/// one.
class RunSchedule {
 public:
  RunSchedule(unsigned workers, std::size_t places) : workers_(workers), ciphered_(places) {}

  /// From now on a wait polls before it sleeps: waits are shorter than a sleep, as long as every thread has a
  /// processor. To be called before there are several threads.
  void poll_before_sleeping() noexcept { polls_ = true; }

  /// The most urgent step that may be done now: deliver before cipher before read. Waits for one; Step::none
  /// when there will be no more.
  [[nodiscard]] Task next();

  /// `task` was done. `last`: what was read is the last run.
  void done(const Task& task, bool last = false);

  /// `task` ended with the current exception, which is kept if no earlier run has failed: it is the one that
  /// a single thread would have met. Step::none: a thread failed without a task; no more is read.
  void fail(const Task& task) noexcept;

  /// Throws what was kept, when all threads are joined.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  std::optional<Task> start_most_urgent();
  bool finished() const;
  void leave(Step step);
  void wait(std::unique_lock<std::mutex>& lock);

  const unsigned workers_;
  bool polls_ = false;

  std::mutex mutex_;  // guards all that follows
  std::condition_variable changed_;
  // Stored under the mutex; a poll outside of it only learns that it is worth taking: relaxed.
  std::atomic<std::uint64_t> changes_{0};
  std::uint64_t read_ = 0;       // runs that were read
  std::uint64_t started_ = 0;    // runs that have entered the cipher
  std::uint64_t delivered_ = 0;  // runs that were delivered
  std::vector<bool> ciphered_;   // by place: ready to be delivered
  bool reading_ = false;
  unsigned ciphering_ = 0;
  bool delivering_ = false;
  bool ended_ = false;  // the last run was read
  std::uint64_t failed_run_ = kNever;
  std::exception_ptr failure_;
};

}  // namespace sluice::crypto
