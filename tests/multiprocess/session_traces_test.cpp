// A session that has gone through many deaths leaves no more behind than one that has gone through few.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <thread>

#include "child_process.hpp"
#include "command.hpp"
#include "open_descriptors.hpp"
#include "running_threads.hpp"
#include "session_parts.hpp"
#include "temp_directory.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

#ifdef SLUICE_SOAK
constexpr int kRounds = 10'000;
constexpr auto kTimeLimit = 1200s;
#else
constexpr int kRounds = 300;
constexpr auto kTimeLimit = 120s;
#endif

std::size_t lines_of(const char* file) {
  std::ifstream lines(file);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) ++count;
  return count;
}

std::size_t files_in(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

std::size_t resident_kib() {
  std::ifstream lines("/proc/self/status");
  std::string word;
  while (lines >> word && word != "VmRSS:") {
  }
  std::size_t kib = 0;
  lines >> kib;
  return kib;
}

/// What this process and its machine hold, and what must not have grown at all.
struct Traces {
  explicit Traces(const std::filesystem::path& runtime)
      : descriptors(open_descriptors()),
        threads(running_threads()),
        shared_memory(files_in("/dev/shm")),
        runtime_files(files_in(runtime)) {}
  bool no_more_than(const Traces& other) const {
    return descriptors <= other.descriptors && threads <= other.threads &&
           shared_memory <= other.shared_memory && runtime_files <= other.runtime_files;
  }

  std::size_t descriptors;
  std::size_t threads;
  std::size_t shared_memory;
  std::size_t runtime_files;
};

void PrintTo(const Traces& traces, std::ostream* out) {
  *out << traces.descriptors << " descriptors, " << traces.threads << " threads, " << traces.shared_memory
       << " files in /dev/shm, " << traces.runtime_files << " in the runtime directory";
}

class KillsAndResumptions : public ::testing::TestWithParam<Role> {
 protected:
  KillsAndResumptions() { ::setenv("XDG_RUNTIME_DIR", runtime_.path().c_str(), 1); }
#if defined(__SANITIZE_ADDRESS__)
  void SetUp() override {
    GTEST_SKIP() << "AddressSanitizer's allocator may be locked for good in a child that is forked beside "
                    "other threads";
  }
#endif
  ~KillsAndResumptions() override {
    ::unsetenv("XDG_RUNTIME_DIR");
  }

  ChildProcess victim() {
    return ChildProcess([this] {
      Port port = open_session(other(GetParam()), "traces", options_);
      EXPECT_EQ(port.post_message(std::as_bytes(std::span("a message"))), Status::ok);
      ::pause();
    });
  }

  /// A process that works is killed; and one that may still be opening its session.
  void round(Port& port, int number) {
    {
      const ChildProcess child = victim();
      const Message message = port.receive();
      ASSERT_TRUE(message) << to_string(message.status());
    }
    ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
    events_.forget();
    if (number % 4 != 0) return;
    const ChildProcess child = victim();
    std::this_thread::sleep_for(std::chrono::microseconds(number * 37 % 3000));
  }

  void settle(Port& port) {
    // The last round's process may have posted, or not.
    while (port.try_receive()) {
    }
    round(port, 1);
  }

  void leave_no_trace() {
    const Watchdog watchdog(kTimeLimit, "killing and resuming");
    SessionOptions options = options_;
    options.on_state = events_.handler();
    ChildProcess first = victim();
    Port port = open_session(GetParam(), "traces", options);
    ASSERT_TRUE(port.receive());
    first.signal(SIGKILL);
    ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
    for (int i = 0; i < 100; ++i) round(port, i);
    settle(port);
    const Traces before(runtime_.path());
    const std::size_t resident_before = resident_kib();
    const std::size_t mappings_before = lines_of("/proc/self/maps");
    for (int i = 0; i < kRounds && !HasFatalFailure(); ++i) round(port, i);
    settle(port);
    // Connections of processes that died while they opened may still be in the queue.
    (void)comes_true([&] { return Traces(runtime_.path()).no_more_than(before); });
    const Traces after(runtime_.path());
    // Fewer: such a connection was counted before.
    EXPECT_TRUE(after.no_more_than(before))
        << ::testing::PrintToString(after) << ", before " << ::testing::PrintToString(before);
    // The heap and the threads' stacks may have come by a mapping or two.
    EXPECT_LT(lines_of("/proc/self/maps"), mappings_before + 10);
#if !defined(__SANITIZE_ADDRESS__)  // which keeps freed memory
    EXPECT_LT(resident_kib(), resident_before + 1024);
#endif
    std::printf("after %d rounds ", kRounds);
    PrintTo(Traces(runtime_.path()), &std::cout);
    std::cout << ", " << lines_of("/proc/self/maps") << " mappings, before " << mappings_before << ", "
              << resident_kib() << " KiB resident, before " << resident_before << '\n';
  }

  TempDirectory runtime_;
  SessionOptions options_{.port = {.ring_bytes = 4096}};
  Events events_;
};

TEST_P(KillsAndResumptions, LeaveNothingBehind) {
  leave_no_trace();
}

TEST_P(KillsAndResumptions, LeaveNothingBehindInFiles) {
  const TempDirectory files;
  options_.directory = files.path();
  leave_no_trace();
  EXPECT_LE(files_in(files.path()), 4U) << "each side's ring and lock";
}

INSTANTIATE_TEST_SUITE_P(Survivor, KillsAndResumptions, ::testing::Values(Role::host, Role::join),
                         [](const auto& tested) {
                           return std::string(tested.param == Role::host ? "Host" : "Joiner");
                         });

}  // namespace
}  // namespace sluice::test
