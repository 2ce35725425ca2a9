// A forked child of a benchmark; for processes.cpp and syscalls.cpp.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "processes.hpp"

namespace sluice::bench {

/// What a child that failed has to say; in shared memory.
struct ErrorText {
  static constexpr std::size_t kBytes = 512;
  std::array<char, kBytes> text;
};

/// A forked process that runs one side, pinned; killed and reaped at the latest by the destructor.
class Child {
 public:
  /// Throws std::system_error.
  Child(Side side, int core, const std::function<void(Side)>& body, ErrorText& error);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  /// Readable when the process has ended.
  int fd() const { return fd_; }
  bool running() const { return pid_ > 0; }

  /// Waits for the end, and throws std::runtime_error unless it was a good one.
  void reap();
  /// The same for somebody who has reaped it already.
  void reaped(int status);

  /// After reap(): how often the scheduler took the processor away.
  std::uint64_t times_preempted() const { return static_cast<std::uint64_t>(usage_.ru_nivcsw); }

 private:
  [[noreturn]] void run(int core, const std::function<void(Side)>& body, pid_t parent);
  int wait() noexcept;
  void end() noexcept;

  Side side_;
  ErrorText* error_;
  pid_t pid_ = -1;
  int fd_ = -1;
  rusage usage_{};
};

}  // namespace sluice::bench
