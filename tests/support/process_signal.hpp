// Lets two processes wait for each other without sleeping.
#pragma once

#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "sluice/base/descriptor.hpp"

namespace sluice::test {

/// A one-way signal between processes, made before the fork: one side calls notify(), the other wait().
class ProcessSignal {
 public:
  ProcessSignal() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) throw std::system_error(errno, std::system_category(), "pipe");
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }

  void notify() const {
    const char byte = 1;
    if (::write(write_.get(), &byte, 1) != 1)
      throw std::system_error(errno, std::system_category(), "notify");
  }

  /// Blocks until the other side has notified; a Watchdog bounds it.
  void wait() const {
    char byte = 0;
    while (::read(read_.get(), &byte, 1) != 1) {
      if (errno != EINTR) throw std::system_error(errno, std::system_category(), "wait");
    }
  }

 private:
  Descriptor read_;
  Descriptor write_;
};

}  // namespace sluice::test
