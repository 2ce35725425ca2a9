// A child process that is run instruction by instruction.
#pragma once

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <system_error>

namespace sluice::test {

/// In the child: stops the calling thread until the parent goes on with it. The first call makes the parent
/// its tracer; the process's other threads run freely.
class StopsForItsParent {
 public:
  void stop() {
    if (!traced_ && ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
      throw std::system_error(errno, std::system_category(), "PTRACE_TRACEME");
    traced_ = true;
    std::raise(SIGSTOP);
  }

 private:
  bool traced_ = false;
};

/// In the parent, on the thread that forked the child.
class Stepper {
 public:
  explicit Stepper(pid_t child) noexcept : child_(child) {}

  /// Waits for the child's next stop. False if it has ended instead.
  bool wait_for_stop() const {
    for (;;) {
      const std::optional<int> signal = wait();
      if (!signal) return false;
      if (*signal == SIGSTOP) return true;
      resume(PTRACE_CONT, *signal);
    }
  }

  /// Runs up to `count` instructions from a stop. Returns how many there were before the child stopped by
  /// itself or ended: `count` if it did neither.
  std::uint64_t step(std::uint64_t count) const { return advance(PTRACE_SINGLESTEP, SIGTRAP, count); }

  /// The same up to so many entries into and returns from system calls.
  std::uint64_t step_system_calls(std::uint64_t count) const {
    ::ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_TRACESYSGOOD);
    return advance(PTRACE_SYSCALL, SIGTRAP | 0x80, count);
  }

 private:
  std::uint64_t advance(decltype(PTRACE_SINGLESTEP) request, int stop_signal, std::uint64_t count) const {
    int deliver = 0;
    for (std::uint64_t done = 0; done < count;) {
      resume(request, deliver);
      deliver = 0;
      const std::optional<int> signal = wait();
      if (!signal || *signal == SIGSTOP) return done;
      if (*signal == stop_signal) {
        ++done;
      } else {
        deliver = *signal;
      }
    }
    return count;
  }

  void resume(decltype(PTRACE_CONT) request, int signal) const {
    // ESRCH: killed meanwhile, which wait() then tells.
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the system call takes the signal in a pointer
    void* const data = reinterpret_cast<void*>(static_cast<std::intptr_t>(signal));
    if (::ptrace(request, child_, nullptr, data) != 0 && errno != ESRCH)
      throw std::system_error(errno, std::system_category(), "ptrace");
  }

  /// The signal that stopped the child; nothing once it has ended.
  std::optional<int> wait() const {
    siginfo_t stop{};
    while (::waitid(P_PID, static_cast<id_t>(child_), &stop, WSTOPPED) != 0) {
      if (errno == ECHILD) return std::nullopt;  // a zombie stops no more
      if (errno != EINTR) throw std::system_error(errno, std::system_category(), "waitid");
    }
    return stop.si_status;
  }

  pid_t child_;
};

}  // namespace sluice::test
