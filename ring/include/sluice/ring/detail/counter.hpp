// A count that one thread keeps and any thread may look at.
#pragma once

#include <atomic>
#include <cstdint>

#pragma GCC visibility push(default)

namespace sluice::ring {

/// Thread-safety: add_one() by one thread at a time, value() by any.
class Counter {
 public:
  // Relaxed throughout: the count stands for itself, it publishes nothing. One writer needs no
  // read-modify-write.
  void add_one() noexcept { count_.store(value() + 1, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace sluice::ring

#pragma GCC visibility pop
