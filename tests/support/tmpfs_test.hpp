// Tests of what only a tmpfs has.
#pragma once

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <filesystem>

#include "scratch_files.hpp"

namespace sluice::test {

/// A scratch directory on a tmpfs; skips the test if there is none.
class TmpfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    struct statfs status {};
    ASSERT_EQ(::statfs(scratch_.path().c_str(), &status), 0);
    if (status.f_type != TMPFS_MAGIC) GTEST_SKIP() << "no tmpfs to write to here";
  }

  scratch::ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_ / "file";
};

}  // namespace sluice::test
