#include "sluice/ring/barrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

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
  // The command can't fail once a process has been registered; a full barrier alone would not reach the
  // publisher.
  if (asymmetric) membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
  full_barrier();
}

}  // namespace sluice::ring
