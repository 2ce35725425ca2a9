// Tells, for the price of a load, whether an object was inherited through fork().
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::detail {

/// The process-wide word behind fork_generation(): never 0 once asked for, 0 again in every forked child.
const std::atomic<std::uint64_t>& fork_word() noexcept;

/// Remembers the process that made it. Thread-safe.
class ForkGuard {
 public:
  ForkGuard() noexcept : word_(&fork_word()), generation_(word_->load(std::memory_order_relaxed)) {}

  /// Whether this process isn't the one that made the object. Relaxed: the value is compared, it publishes
  /// nothing.
  bool inherited() const noexcept { return word_->load(std::memory_order_relaxed) != generation_; }

 private:
  const std::atomic<std::uint64_t>* word_;
  std::uint64_t generation_;
};

}  // namespace sluice::detail
