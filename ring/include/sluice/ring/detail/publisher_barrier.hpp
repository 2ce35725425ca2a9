// A publisher's choice between a full barrier and none at all.
//
// While nobody sleeps, the barrier is light, and publishing costs a store. Each wake-up makes it full for a
// while: whoever sleeps often needs no system call to be sure of the next wake-up, and the publisher's fence
// is little beside the wake-up. The owner's region says which one is in use; a sleeper reads that behind its
// own full barrier.
#pragma once

#include <atomic>
#include <cstdint>

#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/layout.hpp"

#pragma GCC visibility push(default)

namespace sluice::ring {

/// Thread-safety: the publishing thread only.
class PublisherBarrier {
 public:
  /// `word` is in the publisher's own region, `possible` the answer of light_barrier_possible.
  PublisherBarrier(std::atomic<std::uint32_t>& word, bool possible) noexcept : word_(&word) {
    follow(possible);
  }

  /// Read before the stores that the barrier follows: the compiler can't know that those leave it alone.
  bool light() const noexcept { return light_; }

  /// Between the store of a position and the look at the peer's wait position.
  [[gnu::always_inline]] void pass(bool light) noexcept {
    if (light) [[likely]] {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      pass_full();
    }
  }

  /// A sleeper was found.
  void note_sleeper() noexcept;

  /// Another peer.
  void follow(bool possible) noexcept;

 private:
  /// Publications behind full barriers after a wake-up: as much time as a wake-up costs.
  static constexpr std::uint32_t kFullAfterSleeper = 1000;

  void pass_full() noexcept;

  std::atomic<std::uint32_t>* word_;
  std::uint32_t left_ = 0;  // publications behind full barriers to come
  bool light_ = false;      // what the word says
  bool possible_ = false;
};

}  // namespace sluice::ring

#pragma GCC visibility pop
