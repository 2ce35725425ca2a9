#include "processes.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "clock.hpp"
#include "shared_memory.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kErrorBytes = 512;
constexpr int kFailed = 1;

struct ErrorText {
  std::array<char, kErrorBytes> text;
};

/// A forked child that is killed and reaped at the latest by the destructor.
class Child {
 public:
  explicit Child(const std::function<void()>& body) {
    const auto parent = getpid();
    pid_ = fork();
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork of a benchmark process");
    if (pid_ == 0) run(body, parent);
    fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    if (fd_ < 0) {
      const auto saved = errno;
      end();
      throw std::system_error(saved, std::system_category(), "pidfd_open of a benchmark process");
    }
  }
  ~Child() {
    end();
    if (fd_ >= 0) close(fd_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int fd() const { return fd_; }
  bool running() const { return pid_ > 0; }

  /// Takes the exit status, once the descriptor has become readable.
  int reap() {
    int status = 0;
    while (wait4(pid_, &status, 0, &usage_) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  /// After reap().
  std::uint64_t times_preempted() const { return static_cast<std::uint64_t>(usage_.ru_nivcsw); }

 private:
  [[noreturn]] static void run(const std::function<void()>& body, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(kFailed);  // the parent died before the line above
    body();
    _exit(0);  // no destructor of the parent's objects runs here
  }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    reap();
  }

  pid_t pid_ = -1;
  int fd_ = -1;
  rusage usage_{};
};

void run_side(Side side, int core, const std::function<void(Side)>& body, ErrorText& error) {
  const auto leave = [&](const char* what) {
    std::snprintf(error.text.data(), error.text.size(), "%s", what);
    _exit(kFailed);
  };
  try {
    pin_to(core);
    body(side);
  } catch (const std::exception& problem) {
    leave(problem.what());
  } catch (...) {
    leave("an unknown exception");
  }
}

std::string describe(int status, const ErrorText& error) {
  if (WIFSIGNALED(status))
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return error.text[0] != '\0' ? std::string(error.text.data())
                               : fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

void Meeting::arrive_and_wait() noexcept {
  // acq_rel: what either did before the meeting is visible to the other after it.
  const auto goal = arrived_.fetch_add(1, std::memory_order_acq_rel) / 2 * 2 + 2;
  while (arrived_.load(std::memory_order_acquire) < goal) cpu_pause();
}

std::uint64_t run_pair(const Cores& cores, std::chrono::seconds deadline,
                       const std::function<void(Side)>& body) {
  const Shared<std::array<ErrorText, 2>> errors;
  std::fflush(nullptr);  // or the children would print it a second time
  Child first([&] { run_side(Side::first, cores.first, body, (*errors)[0]); });
  Child second([&] { run_side(Side::second, cores.second, body, (*errors)[1]); });

  const std::array<std::pair<Child*, const char*>, 2> sides{{{&first, "first"}, {&second, "second"}}};
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (first.running() || second.running()) {
    std::array<pollfd, 2> polled{};
    for (std::size_t i = 0; i < sides.size(); ++i) {
      polled[i] = {sides[i].first->running() ? sides[i].first->fd() : -1, POLLIN, 0};
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    const auto ready =
        poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "poll");
    if (ready == 0) throw std::runtime_error(fmt::format("no end within {} s", deadline.count()));
    for (std::size_t i = 0; ready > 0 && i < sides.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const auto status = sides[i].first->reap();
      if (status != 0) {
        throw std::runtime_error(
            fmt::format("the {} process: {}", sides[i].second, describe(status, (*errors)[i])));
      }
    }
  }
  return first.times_preempted() + second.times_preempted();
}

}  // namespace sluice::bench
