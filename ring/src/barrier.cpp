#include "sluice/ring/detail/barrier.hpp"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::ring {
namespace {

long membarrier(int command) noexcept {
  return ::syscall(SYS_membarrier, command, 0, 0);
}

bool try_register() noexcept {
  const long supported = membarrier(MEMBARRIER_CMD_QUERY);
  return supported > 0 && (supported & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0 &&
         membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

}  // namespace

bool register_barrier_target() noexcept {
  static const bool registered = try_register();
  return registered;
}

void sleeper_barrier(bool asymmetric) noexcept {
  // Once a process has been registered the command can fail only for a moment, for want of memory; a full
  // barrier alone would not reach the publisher.
  while (asymmetric && membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0 && errno == ENOMEM) ::sched_yield();
  full_barrier();
}

}  // namespace sluice::ring
