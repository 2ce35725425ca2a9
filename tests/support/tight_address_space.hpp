// A process that has little address space left: what it maps, or doesn't, shows by that.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace sluice::test {

/// Sanitizers need address space of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kAddressSpaceCanBeTight = false;
#else
inline constexpr bool kAddressSpaceCanBeTight = true;
#endif

/// While it lives, this process can map no more than `left` bytes.
class TightAddressSpace {
 public:
  explicit TightAddressSpace(std::uint64_t left) {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit tight{pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + left, before_.rlim_max};
    ::setrlimit(RLIMIT_AS, &tight);
  }
  TightAddressSpace(const TightAddressSpace&) = delete;
  TightAddressSpace& operator=(const TightAddressSpace&) = delete;
  ~TightAddressSpace() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

}  // namespace sluice::test
