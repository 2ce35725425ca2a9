// Descriptors that a forked child doesn't get.
#include "sluice/base/detail/uninherited_descriptor.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "temp_directory.hpp"
#include "watchdog.hpp"

namespace sluice::base {
namespace {

using sluice::test::ChildProcess;

class UninheritedDescriptors : public ::testing::Test {
 protected:
  int open_file() const { return ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); }

  sluice::test::TempDirectory directory_;
  std::filesystem::path path_ = directory_.file("file");
  sluice::test::Watchdog watchdog_{std::chrono::seconds(60), "UninheritedDescriptors"};
};

TEST_F(UninheritedDescriptors, AreClosedInAChildAndStayOpenInTheParent) {
  UninheritedDescriptor first;
  UninheritedDescriptor second;
  first.open([&] { return open_file(); });
  second.open([&] { return open_file(); });
  const int number = first.get();
  ASSERT_GE(number, 0);
  ChildProcess child([&] {
    EXPECT_FALSE(first);
    EXPECT_FALSE(second);
    EXPECT_LT(::fcntl(number, F_GETFD), 0);
    first.open([&] { return open_file(); });  // the child's own
    EXPECT_TRUE(first);
    ChildProcess grandchild([&] { EXPECT_FALSE(first); });
    EXPECT_TRUE(grandchild.wait_for(std::chrono::seconds(30))->ok());
  });
  EXPECT_TRUE(child.wait_for(std::chrono::seconds(40))->ok());
  EXPECT_GE(::fcntl(first.get(), F_GETFD), 0);
  EXPECT_GE(::fcntl(second.get(), F_GETFD), 0);
}

TEST_F(UninheritedDescriptors, DontLetAChildHoldTheParentsLock) {
  UninheritedDescriptor locked;
  locked.open([&] { return open_file(); });
  ASSERT_EQ(::flock(locked.get(), LOCK_EX), 0);
  ChildProcess child([] { ::pause(); });
  const Descriptor other(open_file());
  EXPECT_NE(::flock(other.get(), LOCK_EX | LOCK_NB), 0);
  locked.reset();
  EXPECT_EQ(::flock(other.get(), LOCK_EX | LOCK_NB), 0);
}

TEST_F(UninheritedDescriptors, SayWhyNothingCouldBeOpened) {
  UninheritedDescriptor nothing;
  nothing.open([&] { return ::open(directory_.file("missing").c_str(), O_RDONLY | O_CLOEXEC); });
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(nothing);
}

TEST_F(UninheritedDescriptors, AreOpenedAndClosedWhileAnotherThreadForks) {
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        UninheritedDescriptor one;
        one.open([&] { return open_file(); });
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    ChildProcess child([&] {
      for (int fd = 3; fd < 64; ++fd) {
        std::array<char, 256> target{};
        const auto link = "/proc/self/fd/" + std::to_string(fd);
        const bool is_open = ::readlink(link.c_str(), target.data(), target.size() - 1) > 0;
        EXPECT_TRUE(!is_open || path_ != target.data());
      }
    });
    const auto status = child.wait_for(std::chrono::seconds(30));
    EXPECT_TRUE(status && status->ok());
  }
  done = true;
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace sluice::base
