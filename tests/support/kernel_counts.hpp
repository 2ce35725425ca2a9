// What the kernel has counted for the threads of this process.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace sluice::test {

/// How long the threads of this process have waited for a CPU, altogether: what a busy machine adds to any
/// delay.
inline std::chrono::nanoseconds waited_for_a_cpu() {
  std::chrono::nanoseconds all{0};
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream counts(thread.path() / "schedstat");
    std::int64_t running = 0;
    std::int64_t waiting = 0;
    if (counts >> running >> waiting) all += std::chrono::nanoseconds(waiting);
  }
  return all;
}

/// How often the threads of this process have gone to sleep, but for the calling one.
inline std::uint64_t sleeps_of_other_threads() {
  const std::string self = std::filesystem::read_symlink("/proc/thread-self").filename().string();
  std::uint64_t all = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == self) continue;
    std::ifstream status(thread.path() / "status");
    for (std::string word; status >> word;) {
      std::uint64_t count = 0;
      if (word == "voluntary_ctxt_switches:" && status >> count) all += count;
    }
  }
  return all;
}

}  // namespace sluice::test
