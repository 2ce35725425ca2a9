// A second process for tests: a forked child that runs a function.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "sluice/base/descriptor.hpp"

namespace sluice::test {

/// How a child ended.
struct ExitStatus {
  int code;    ///< the exit code, or -1 if a signal ended it
  int signal;  ///< the signal, or 0

  bool ok() const noexcept { return code == 0; }
};

inline std::string to_string(const ExitStatus& status) {
  return status.signal != 0 ? "signal " + std::to_string(status.signal)
                            : "exit code " + std::to_string(status.code);
}

/// Forks a child that runs `body` (returning an exit code, or nothing for 0) and leaves by _exit, so that
/// nothing of the parent's test runs twice. An exception or a failed expectation in the child makes its exit
/// code 1. The child is killed when the thread that made it ends, and killed and reaped when this object is
/// destroyed. Fork only while the program has one thread, or let the child do little.
class ChildProcess {
 public:
  template <class Body>
  explicit ChildProcess(Body body) {
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    ::_exit(run(body));
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    if (reaped_) return;
    ::kill(pid_, SIGKILL);
    reap();
  }

  pid_t pid() const noexcept { return pid_; }

  void signal(int number) const { ::kill(pid_, number); }

  /// Waits until the child has ended, without reaping it (it stays a zombie); false if it runs on past the
  /// time.
  bool ended_within(std::chrono::milliseconds time) const {
    if (reaped_) return true;
    const auto deadline = std::chrono::steady_clock::now() + time;
    const Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd) throw std::system_error(errno, std::system_category(), "pidfd_open");
    for (;;) {
      pollfd entry{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      const int ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (ready > 0) return true;
      if (ready == 0) return false;
      if (errno != EINTR) throw std::system_error(errno, std::system_category(), "poll of a pidfd");
    }
  }

  /// Waits for the end and reaps; nothing if the child runs on past the time.
  std::optional<ExitStatus> wait_for(std::chrono::milliseconds time) {
    if (!ended_within(time)) return std::nullopt;
    return reap();
  }

 private:
  template <class Body>
  static int run(Body& body) noexcept {
    int code = 0;
    try {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
      } else {
        code = body();
      }
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "child process: %s\n", failure.what());
      code = 1;
    }
    if (code == 0 && ::testing::Test::HasFailure()) code = 1;
    std::fflush(nullptr);
    return code;
  }

  ExitStatus reap() {
    if (reaped_) return status_;
    int raw = 0;
    while (::waitpid(pid_, &raw, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    status_ = WIFEXITED(raw) ? ExitStatus{WEXITSTATUS(raw), 0} : ExitStatus{-1, WTERMSIG(raw)};
    return status_;
  }

  pid_t pid_ = -1;
  bool reaped_ = false;
  ExitStatus status_{};
};

}  // namespace sluice::test
