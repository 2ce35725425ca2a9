// What a leak test counts.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <thread>

namespace sluice::test {

/// How many descriptors this process has open.
inline std::size_t open_descriptors() {
  // The directory iterator's own descriptor is among them.
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {})) -
         1;
}

/// Waits until it has so many: what may be closed on a thread of its own is gone a moment later. False after
/// 10 s.
inline bool open_descriptors_become(std::size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (open_descriptors() != count) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace sluice::test
