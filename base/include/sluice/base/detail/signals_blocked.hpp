// Signals belong to the application: what our threads and our writes raise isn't delivered to it.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <utility>

#pragma GCC visibility push(default)

namespace sluice::base {

/// Blocks every signal while it lives: a thread that is made meanwhile inherits that.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

/// Calls `write`, a system call that is to write `bytes` bytes, and gives its result and errno. A pipe or socket
/// without a reader is EPIPE and nothing else: SIGPIPE is blocked in this thread meanwhile, and taken away if it
/// came. It also comes with a write that was done in part when the reader went, but with none that was done.
template <typename Write>
ssize_t without_broken_pipe_signal(std::size_t bytes, Write write) {
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const bool was_blocked = ::sigismember(&before, SIGPIPE) == 1;
  sigset_t pending;
  ::sigemptyset(&pending);
  if (was_blocked) ::sigpending(&pending);  // one that waits already isn't ours
  const ssize_t result = write();
  const int code = errno;
  const timespec at_once{};
  if (std::cmp_not_equal(result, bytes) && ::sigismember(&pending, SIGPIPE) == 0) {
    while (::sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  if (!was_blocked) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = code;
  return result;
}

}  // namespace sluice::base

#pragma GCC visibility pop
