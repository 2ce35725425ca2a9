// Counting threads, for tests that none is left.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>

namespace sluice::test {

/// How many threads this process has.
inline std::size_t running_threads() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

/// How many of them have this name (sanitizers have threads of their own).
inline std::size_t running_threads(std::string_view name) {
  std::size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string found;
    std::getline(std::ifstream(task.path() / "comm"), found);
    if (found == name) ++count;
  }
  return count;
}

/// Waits until so many threads have this name: one that was joined leaves the list, and a new one takes its
/// name, a moment later. False after 10 s.
inline bool threads_become(std::string_view name, std::size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (running_threads(name) != count) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace sluice::test
