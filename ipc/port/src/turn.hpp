// A piece of work on its way through an executor, which may run it late, never, or on any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace sluice::ipc {

/// One piece of work: waits for the executor, runs, is over; or is called off, and never runs. Thread-safe.
class Turn : public std::enable_shared_from_this<Turn> {
 public:
  /// `work` must stay valid until wait() has returned.
  explicit Turn(const std::function<void()>& work) noexcept : work_(&work) {}

  /// What the executor is to run. Calls the turn off when the executor throws it away instead.
  std::function<void()> piece();

  /// From now on the work doesn't begin any more. Whether it is running on this very thread.
  bool call_off() noexcept;

  /// Waits until the turn is over or called off; whether the work has begun.
  bool wait() noexcept;

 private:
  enum class State : unsigned char { queued, running, over, called_off };

  void run();
  void end() noexcept;

  const std::function<void()>* work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::queued;  // under mutex_
  std::thread::id runs_on_;      // under mutex_
};

}  // namespace sluice::ipc
