#include "sluice/ring/waiting.hpp"

#include <ctime>

#include "futex.hpp"

namespace sluice::ring {

void WaitGate::raise(Status reason) noexcept {
  const auto is_final = [](std::uint64_t word) { return decode(word & ~kInterrupted) != Status::ok; };
  std::uint64_t now = load();
  while (!is_final(now) && !word_->compare_exchange_weak(now, encode(reason) | (now & kInterrupted),
                                                         std::memory_order_seq_cst)) {
  }
  wake_sleeper();
}

void WaitGate::interrupt() noexcept {
  word_->fetch_or(kInterrupted, std::memory_order_seq_cst);
  wake_sleeper();
}

void WaitGate::clear_interruption() noexcept {
  word_->fetch_and(~kInterrupted, std::memory_order_seq_cst);
}

void WaitGate::wake_sleeper() const noexcept {
  // The word doesn't change, so a wake-up that comes just before the sleeper sleeps is lost: repeat until it
  // answers. One that has cleared its interruption has answered too, and may sleep again.
  while (word_->load(std::memory_order_seq_cst) != encode(Status::ok)) {
    const auto* const word = sleeping_on_.load(std::memory_order_seq_cst);
    if (word == nullptr) return;
    futex_wake(*word);
    const timespec pause{0, 20'000};
    ::nanosleep(&pause, nullptr);
  }
}

bool WaitGate::sleep(const std::atomic<std::uint64_t>& word, std::uint32_t expected,
                     Deadline deadline) noexcept {
  sleeping_on_.store(&word, std::memory_order_seq_cst);
  bool in_time = true;
  if (word_->load(std::memory_order_seq_cst) == encode(Status::ok))
    in_time = futex_wait(word, expected, deadline);
  // Release: raise() returns, and lets the mapping be unmapped, only after this thread has left the word
  // alone.
  sleeping_on_.store(nullptr, std::memory_order_release);
  return in_time;
}

}  // namespace sluice::ring
