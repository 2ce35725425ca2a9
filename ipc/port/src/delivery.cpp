#include "delivery.hpp"

#include <cstdio>
#include <cstdlib>

namespace sluice::ipc {

void end_for_lost_thread() noexcept {
  std::fputs("sluice: pthread_exit() or a cancellation inside a handler or an executor\n", stderr);
  std::abort();
}

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& known) {
    return words_of(known);
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace sluice::ipc
