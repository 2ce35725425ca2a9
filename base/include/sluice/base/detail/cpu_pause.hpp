// What a polling loop does between two looks.
#pragma once

#pragma GCC visibility push(default)

namespace sluice::base {

/// Tells the CPU that this is a polling loop.
inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace sluice::base

#pragma GCC visibility pop
