#include "run_schedule.hpp"

#include <algorithm>
#include <chrono>

namespace sluice::crypto {
namespace {

// About what a run takes. A sleep and its wake-up cost a good part of that, and the thread's caches.
constexpr std::chrono::microseconds kPollTime{150};
constexpr int kPollsPerClock = 32;

void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

template <typename Ready>
bool poll(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kPollTime;
  do {
    for (int i = 0; i < kPollsPerClock; ++i) {
      if (ready()) return true;
      cpu_pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace

Task RunSchedule::next() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (const auto task = start_most_urgent()) return *task;
    if (finished()) return {};
    wait(lock);
  }
}

std::optional<Task> RunSchedule::start_most_urgent() {
  if (!delivering_ && delivered_ < failed_run_ && ciphered_[delivered_ % ciphered_.size()]) {
    delivering_ = true;
    return Task{Step::deliver, delivered_};
  }
  if (ciphering_ < workers_ && started_ < std::min(read_, failed_run_)) {
    ++ciphering_;
    return Task{Step::cipher, started_++};
  }
  if (!reading_ && !ended_ && !failure_ && read_ - delivered_ < ciphered_.size()) {
    reading_ = true;
    return Task{Step::read, read_};
  }
  return std::nullopt;
}

bool RunSchedule::finished() const {
  if (failure_) return delivered_ >= std::min(failed_run_, read_);
  return ended_ && delivered_ == read_;
}

void RunSchedule::wait(std::unique_lock<std::mutex>& lock) {
  const auto seen = changes_.load(std::memory_order_relaxed);
  const auto changed = [&] { return changes_.load(std::memory_order_relaxed) != seen; };
  if (polls_) {
    lock.unlock();
    poll(changed);
    lock.lock();
  }
  changed_.wait(lock, changed);
}

void RunSchedule::leave(Step step) {
  if (step == Step::read) reading_ = false;
  if (step == Step::cipher) --ciphering_;
  if (step == Step::deliver) delivering_ = false;
  changes_.fetch_add(1, std::memory_order_relaxed);
}

void RunSchedule::done(const Task& task, bool last) {
  {
    const std::lock_guard lock(mutex_);
    if (task.step == Step::read) {
      ++read_;
      ended_ = last;
    } else {
      ciphered_[task.run % ciphered_.size()] = task.step == Step::cipher;
      if (task.step == Step::deliver) ++delivered_;
    }
    leave(task.step);
  }
  changed_.notify_all();
}

void RunSchedule::fail(const Task& task) noexcept {
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t run = task.step == Step::none ? kNever : task.run;
    if (!failure_ || run < failed_run_) {
      failure_ = std::current_exception();
      failed_run_ = run;
    }
    leave(task.step);
  }
  changed_.notify_all();
}

}  // namespace sluice::crypto
