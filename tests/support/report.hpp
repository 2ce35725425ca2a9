// What a child process has to say to its test, one number at a time.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace sluice::test {

/// A pipe of numbers: made before the fork, said in the child, heard in the test.
class Report {
 public:
  Report() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0)
      throw std::system_error(errno, std::system_category(), "pipe2");
  }
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  void say(std::uint64_t number) const { ASSERT_EQ(::write(ends_[1], &number, sizeof number), 8); }
  std::uint64_t hear() const {
    std::uint64_t number = 0;
    EXPECT_EQ(::read(ends_[0], &number, sizeof number), 8);
    return number;
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace sluice::test
