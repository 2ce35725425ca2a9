#include "sluice/ring/waiting.hpp"

#include <algorithm>
#include <chrono>

#include "futex.hpp"

namespace sluice::ring {

void WaitGate::raise(Status reason) noexcept {
  const auto is_final = [](std::uint64_t word) { return decode(word & ~kInterrupted) != Status::ok; };
  std::uint64_t now = load();
  while (!is_final(now) && !word_->compare_exchange_weak(now, encode(reason) | (now & kInterrupted),
                                                         std::memory_order_release)) {
  }
  wake_sleeper();
}

void WaitGate::interrupt() noexcept {
  word_->fetch_or(kInterrupted, std::memory_order_release);
  wake_sleeper();
}

void WaitGate::clear_interruption() noexcept {
  word_->fetch_and(~kInterrupted, std::memory_order_release);
}

void WaitGate::wake_sleeper() const noexcept {
  // The kernel compares the word and falls asleep in one step: a wake-up behind the change is never lost.
  futex_wake_own(*word_);
  // One that sleeps without the gate's word sees its change within a slice; this makes it sooner.
  if (const auto* const word = sleeping_on_.load(std::memory_order_relaxed)) futex_wake(*word);
}

bool WaitGate::sleep(const std::atomic<std::uint64_t>& word, std::uint32_t expected,
                     Deadline deadline) noexcept {
  constexpr auto kOpen = static_cast<std::uint32_t>(encode(Status::ok));
  if (!futex_wait_either(word, expected, *word_, kOpen, deadline)) sleep_in_slices(word, expected, deadline);
  // However it ended: a peer can wake us, and change its word, without end.
  return deadline == kNoDeadline || std::chrono::steady_clock::now() < deadline;
}

void WaitGate::sleep_in_slices(const std::atomic<std::uint64_t>& word, std::uint32_t expected,
                               Deadline deadline) noexcept {
  using std::chrono::milliseconds;
  constexpr milliseconds kLongest{100};
  sleeping_on_.store(&word, std::memory_order_relaxed);
  // Short slices first: an honest peer's wake-up is only missed right before a sleep.
  for (milliseconds slice{1}; open(); slice = std::min(2 * slice, kLongest)) {
    const Deadline end = std::min(deadline, deadline_in(slice));
    futex_wait(word, expected, end);
    if (end == deadline || std::chrono::steady_clock::now() < end) break;  // late, or woken
  }
  sleeping_on_.store(nullptr, std::memory_order_relaxed);
}

}  // namespace sluice::ring
