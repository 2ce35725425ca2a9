#include "harness/processes.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include "harness/shared_memory.hpp"
#include "harness/syscalls.hpp"

namespace sluice::bench {
namespace {

constexpr std::chrono::seconds kDeadline{20};

Cores any_cores() {
  const auto cores = choose_cores();
  return cores.value_or(Cores{0, 0});  // where there is one only: these tests wait, they don't measure
}

std::string failure_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::runtime_error& problem) {
    return problem.what();
  }
  return "";
}

TEST(Processes, RunBothSidesAndShareMemory) {
  const Shared<std::array<pid_t, 2>> pids;
  run_pair(any_cores(), kDeadline, [&](Side side) { (*pids)[side == Side::first ? 0 : 1] = getpid(); });
  EXPECT_NE((*pids)[0], 0);
  EXPECT_NE((*pids)[1], 0);
  EXPECT_NE((*pids)[0], (*pids)[1]);
  EXPECT_NE((*pids)[0], getpid());
}

TEST(Processes, AFailingSideEndsBothAndSaysWhy) {
  const Shared<pid_t> waiting;
  const auto text = failure_of([&] {
    run_pair(any_cores(), kDeadline, [&](Side side) {
      if (side == Side::second) throw std::runtime_error("wrong content");
      *waiting = getpid();
      for (;;) pause();
    });
  });
  EXPECT_EQ(text, "the second process: wrong content");
  if (*waiting != 0) {
    EXPECT_TRUE(kill(*waiting, 0) != 0 && errno == ESRCH);
  }
}

TEST(Processes, AKilledSideEndsBoth) {
  const auto text = failure_of([] {
    run_pair(any_cores(), kDeadline, [](Side side) {
      if (side == Side::first) raise(SIGKILL);
      for (;;) pause();
    });
  });
  EXPECT_NE(text.find("the first process: killed by signal 9"), std::string::npos) << text;
}

TEST(Processes, TheDeadlineEndsBoth) {
  const auto text = failure_of([] {
    run_pair(any_cores(), std::chrono::seconds(1), [](Side) {
      for (;;) pause();
    });
  });
  EXPECT_EQ(text, "no end within 1 s");
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // nobody left
  EXPECT_EQ(errno, ECHILD);
}

TEST(Processes, CoresMustBeTwoDifferentOnesThatExist) {
  EXPECT_THROW(parse_cores("0"), std::invalid_argument);
  EXPECT_THROW(parse_cores("0,0"), std::invalid_argument);
  EXPECT_THROW(parse_cores("0,x"), std::invalid_argument);
  EXPECT_THROW(parse_cores("0,99999"), std::invalid_argument);
}

TEST(SyscallCount, CountsExactlyWhatIsCalledWhileOpen) {
  constexpr std::uint64_t kCalls = 250;
  const Shared<Meeting> meeting;
  std::uint64_t counted = 0;
  try {
    counted = run_counted_pair(any_cores(), kDeadline, [&](Side side, CountingWindow& window) {
      meeting->arrive_and_wait();
      if (side == Side::first) {
        for (int i = 0; i < 10; ++i) getppid();
        window.open();
        for (std::uint64_t i = 0; i < kCalls; ++i) getppid();
        window.close();
        for (int i = 0; i < 10; ++i) getppid();
      }
      meeting->arrive_and_wait();
    });
  } catch (const std::system_error& refused) {
    GTEST_SKIP() << "tracing isn't allowed here: " << refused.what();
  }
  EXPECT_EQ(counted, kCalls);
}

TEST(SyscallCount, IsZeroForASideThatOnlyComputes) {
  const Shared<Meeting> meeting;
  std::uint64_t counted = 1;
  try {
    counted = run_counted_pair(any_cores(), kDeadline, [&](Side side, CountingWindow& window) {
      meeting->arrive_and_wait();
      if (side == Side::first) {
        window.open();
        for (int i = 0; i < 10'000'000; ++i) asm volatile("");
        window.close();
      }
      meeting->arrive_and_wait();
    });
  } catch (const std::system_error& refused) {
    GTEST_SKIP() << "tracing isn't allowed here: " << refused.what();
  }
  EXPECT_EQ(counted, 0U);
}

}  // namespace
}  // namespace sluice::bench
