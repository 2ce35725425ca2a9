// Counting what two processes ask of the kernel, by tracing them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "processes.hpp"

namespace sluice::bench {

/// The stretch in which system calls count; both processes see the same. Lies in shared memory.
class CountingWindow {
 public:
  void open() noexcept { open_.store(true, std::memory_order_release); }
  void close() noexcept { open_.store(false, std::memory_order_release); }
  bool is_open() const noexcept { return open_.load(std::memory_order_acquire); }

  /// For the tracer: lets the processes begin.
  void attach() noexcept { attached_.store(true, std::memory_order_release); }
  void await_attached() const noexcept;

 private:
  std::atomic<bool> open_{false};
  std::atomic<bool> attached_{false};
};

/// Like run_pair, and returns the number of system calls that any thread of either process began while the
/// window was open. Every call is slowed down by some microseconds; a process that makes none runs at full
/// speed. Throws std::system_error where tracing is not allowed.
std::uint64_t run_counted_pair(const Cores& cores, std::chrono::seconds deadline,
                               const std::function<void(Side, CountingWindow&)>& body);

}  // namespace sluice::bench
