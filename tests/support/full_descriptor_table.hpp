// A process that has run out of descriptors.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "sluice/base/descriptor.hpp"

namespace sluice::test {

/// UndefinedBehaviorSanitizer finds out by a pipe whether an object's memory is there: without descriptors it takes
/// every exception for no object.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kCanThrowWithoutDescriptors = false;
#else
inline constexpr bool kCanThrowWithoutDescriptors = true;
#endif

/// While it lives, this process can open nothing more (EMFILE). Lowers the limit of open files and fills it.
class FullDescriptorTable {
 public:
  FullDescriptorTable() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 256;
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (;;) {
      Descriptor filler(::dup(STDERR_FILENO));
      if (!filler) return;
      fillers_.push_back(std::move(filler));
    }
  }
  FullDescriptorTable(const FullDescriptorTable&) = delete;
  FullDescriptorTable& operator=(const FullDescriptorTable&) = delete;
  ~FullDescriptorTable() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::vector<Descriptor> fillers_;
};

}  // namespace sluice::test
