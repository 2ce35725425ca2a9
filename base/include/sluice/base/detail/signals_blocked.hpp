// Threads that leave signals to the application.
#pragma once

#include <pthread.h>

#include <csignal>

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

}  // namespace sluice::base

#pragma GCC visibility pop
