// Calls of what the application gave us: handlers and executors.
#pragma once

#include <pthread.h>

#include <exception>
#include <type_traits>

namespace sluice::ipc {

/// Says what happened on the standard error output, and ends the program.
[[noreturn]] void end_for_lost_thread() noexcept;

/// Calls, and passes on what is returned or thrown. If the thread is ended inside (pthread_exit, a
/// cancellation) the program ends, too: others wait for what this thread has begun.
template <typename Call>
decltype(auto) call_application(Call&& call) {
  // No catch: inside a handler of another exception a forced unwinding can't be caught.
  struct ComesBack {
    ComesBack() = default;
    ComesBack(const ComesBack&) = delete;
    ComesBack& operator=(const ComesBack&) = delete;
    ~ComesBack() {
      if (!returned && std::uncaught_exceptions() == 0) end_for_lost_thread();
    }
    bool returned = false;
  } comes_back;
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    comes_back.returned = true;
  } else {
    decltype(auto) result = call();
    comes_back.returned = true;
    return result;
  }
}

/// While it lives, pthread_cancel() of this thread has no effect.
class CancellationOff {
 public:
  CancellationOff() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  CancellationOff(const CancellationOff&) = delete;
  CancellationOff& operator=(const CancellationOff&) = delete;
  ~CancellationOff() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = 0;
};

}  // namespace sluice::ipc
