#include "child.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>

namespace sluice::bench {
namespace {

constexpr int kFailed = 1;

}  // namespace

Child::Child(Side side, int core, const std::function<void(Side)>& body, ErrorText& error)
    : side_(side), error_(&error) {
  const auto parent = getpid();
  std::fflush(nullptr);  // or the child would print it a second time
  pid_ = fork();
  if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork of a benchmark process");
  if (pid_ == 0) run(core, body, parent);
  fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (fd_ < 0) {
    const auto saved = errno;
    end();
    throw std::system_error(saved, std::system_category(), "pidfd_open of a benchmark process");
  }
}

Child::~Child() {
  end();
  if (fd_ >= 0) close(fd_);
}

void Child::run(int core, const std::function<void(Side)>& body, pid_t parent) {
  // _exit: no destructor of the parent's objects runs here.
  const auto leave = [this](const char* what) {
    std::snprintf(error_->text.data(), error_->text.size(), "%s", what);
    _exit(kFailed);
  };
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kFailed);  // the parent died before the line above
  try {
    pin_to(core);
    body(side_);
  } catch (const std::exception& problem) {
    leave(problem.what());
  } catch (...) {
    leave("an unknown exception");
  }
  _exit(0);
}

int Child::wait() noexcept {
  int status = 0;
  while (wait4(pid_, &status, 0, &usage_) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

void Child::end() noexcept {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  wait();
}

void Child::reap() {
  reaped(wait());
}

void Child::reaped(int status) {
  pid_ = -1;
  if (status == 0) return;
  const auto* const name = side_ == Side::first ? "first" : "second";
  if (WIFSIGNALED(status)) {
    throw std::runtime_error(fmt::format("the {} process: killed by signal {} ({})", name, WTERMSIG(status),
                                         strsignal(WTERMSIG(status))));
  }
  throw std::runtime_error(fmt::format("the {} process: {}", name,
                                       error_->text[0] != '\0'
                                           ? std::string(error_->text.data())
                                           : fmt::format("exit code {}", WEXITSTATUS(status))));
}

}  // namespace sluice::bench
