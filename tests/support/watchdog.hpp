// Ends a test program that hangs.
#pragma once

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace sluice::test {

/// While it lives, the program must not take longer than the given time: then it says what hung and aborts.
/// One at a time (it is the process's alarm clock); children of fork() don't inherit it, ChildProcess has
/// them killed with us.
class Watchdog {
 public:
  Watchdog(std::chrono::seconds limit, const std::string& what) {
    std::snprintf(message().data(), message().size(), "watchdog: %s took longer than %lld s\n", what.c_str(),
                  static_cast<long long>(limit.count()));
    std::signal(SIGALRM, &Watchdog::bark);
    ::alarm(static_cast<unsigned>(limit.count()));
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { ::alarm(0); }

 private:
  static std::array<char, 256>& message() {
    static std::array<char, 256> text{};
    return text;
  }

  static void bark(int /*signal*/) {
    std::size_t length = 0;
    while (length < message().size() && message().at(length) != 0) ++length;
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message().data(), length);
    std::abort();
  }
};

}  // namespace sluice::test
