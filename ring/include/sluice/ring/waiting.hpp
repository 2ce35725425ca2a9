// How a producer or a consumer waits for the other side, and how a third party ends that wait.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/wiped_word.hpp"
#include "sluice/base/status.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// What a blocking call does while there is nothing to read or no room to write.
enum class WaitStrategy : std::uint8_t {
  /// Spins for a while, then sleeps in the kernel. The default: fast while data flows, no CPU when idle.
  adaptive,
  /// Polls for ever. The lowest latency, for a thread with a core of its own.
  spin,
  /// Sleeps in the kernel at once. The least CPU, a wake-up's latency for each wait.
  sleep,
  /// Never waits: blocking calls return Status::would_block, and the caller polls.
  non_blocking,
};

/// How the waits of one end of a channel go.
struct WaitOptions {
  WaitStrategy strategy = WaitStrategy::adaptive;
  /// adaptive: the longest that a wait polls before it sleeps, 0 .. 1 s. Each direction learns how much of
  /// that is worth it; see SpinWindow. On a machine with one CPU nobody polls.
  Duration longest_spin = std::chrono::microseconds(50);
};

namespace ring {

/// Ends the waits of one producer or consumer from another thread: for good (peer death, close()), and for a
/// while when the peer is replaced. Thread-safety: raise(), interrupt() and the questions from any thread;
/// the rest belongs to the thread that waits.
class WaitGate {
 public:
  /// Makes the present wait, and every later one, return `reason` once there's nothing left to read or no
  /// room. Waits for nobody. The first reason stays.
  void raise(Status reason) noexcept;

  /// The same with Status::interrupted, until clear_interruption(), also if a final reason comes
  /// meanwhile: the thread that waits has to see both. Nothing that is read from the peer's words afterwards
  /// is used: see Producer::refresh_released.
  void interrupt() noexcept;
  void clear_interruption() noexcept;

  /// ok until raised or interrupted. forked in a forked child, always.
  Status reason() const noexcept {
    const std::uint64_t word = load();
    return (word & kInterrupted) != 0 ? Status::interrupted : decode(word);
  }
  /// The same without regard to interruptions.
  Status final_reason() const noexcept { return decode(load() & ~kInterrupted); }
  /// reason() == Status::ok, for one comparison.
  bool open() const noexcept { return load() == encode(Status::ok); }
  bool interrupted() const noexcept { return (load() & kInterrupted) != 0; }
  bool forked() const noexcept { return load() == encode(Status::forked); }

  /// Sleeps while *word == expected, until woken, a signal, the deadline, raise() or interrupt(). Returns
  /// false only when the deadline has passed. `word` may lie in read-only memory of the peer, which can move
  /// whoever sleeps there to another word (FUTEX_REQUEUE): so the sleep is one on the gate's own word, too.
  /// If the system can't wait for two words, it is done in slices of 100 ms at most, each of which looks at
  /// the gate.
  bool sleep(const std::atomic<std::uint64_t>& word, std::uint32_t expected, Deadline deadline) noexcept;

 private:
  // The word reads 0 in a forked child: so 0 has to mean forked.
  static constexpr std::uint64_t encode(Status status) noexcept {
    return static_cast<std::uint64_t>(status) ^ static_cast<std::uint64_t>(Status::forked);
  }
  static constexpr Status decode(std::uint64_t word) noexcept {
    return static_cast<Status>(word ^ static_cast<std::uint64_t>(Status::forked));
  }
  static constexpr std::uint64_t kInterrupted = 1U << 8U;

  std::uint64_t load() const noexcept { return word_->load(std::memory_order_acquire); }
  void wake_sleeper() const noexcept;
  void sleep_in_slices(const std::atomic<std::uint64_t>& word, std::uint32_t expected,
                       Deadline deadline) noexcept;

  // Publishes why waiting is over: release in raise and interrupt, acquire in load(). Its low half is the
  // futex that they wake; whether the sleeper sees the change or the waker the sleeper, the kernel sees to.
  base::WipedWord word_{encode(Status::ok)};
  // The word of a sleep in slices, or null: for a wake-up, which needs no memory to be there. Relaxed: it
  // publishes nothing, and the end of a slice makes up for a wake-up that comes too early.
  std::atomic<const std::atomic<std::uint64_t>*> sleeping_on_{nullptr};
};

}  // namespace ring
}  // namespace sluice

#pragma GCC visibility pop
