#include "run_order.hpp"

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

std::unique_lock<std::mutex> RunOrder::lock(std::mutex& mutex) const {
  std::unique_lock lock(mutex, std::defer_lock);
  if (!polls_ || !poll([&] { return lock.try_lock(); })) lock.lock();
  return lock;
}

template <typename Ready>
void RunOrder::wait(Ready ready) {
  if (ready() || (polls_ && poll(ready))) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, ready);
}

bool RunOrder::enter_cipher(std::uint64_t run, unsigned limit) {
  wait([&] { return ciphered_.load(std::memory_order_acquire) + limit > run || failed_before(run); });
  return !failed_before(run);
}

bool RunOrder::await_turn(std::uint64_t run) {
  wait([&] { return delivered_.load(std::memory_order_acquire) == run || failed_before(run); });
  return !failed_before(run);
}

void RunOrder::advance(std::atomic<std::uint64_t>& count) {
  {
    const std::lock_guard lock(mutex_);
    count.fetch_add(1, std::memory_order_release);
  }
  changed_.notify_all();
}

bool RunOrder::failed_before(std::uint64_t run) const noexcept {
  return failed_run_.load(std::memory_order_acquire) < run;
}

void RunOrder::fail(std::uint64_t run) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_ || run < failed_run_.load(std::memory_order_relaxed)) {  // written under this lock only
      failure_ = std::current_exception();
      failed_run_.store(run, std::memory_order_release);
    }
    any_failed_.store(true, std::memory_order_relaxed);
  }
  changed_.notify_all();
}

}  // namespace sluice::crypto
