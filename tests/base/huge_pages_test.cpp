// Long files on a tmpfs get huge pages if the kernel has some, and nothing else about them changes.
#include "huge_pages.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "scratch_files.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "tmpfs_test.hpp"

namespace sluice::base {
namespace {

using namespace sluice::test::scratch;

constexpr std::size_t kMiB = 1024UL * 1024;
constexpr std::size_t kHugePage = 2 * kMiB;

using LongFiles = sluice::test::TmpfsTest;

TEST_F(LongFiles, HoldWhatWasWrittenWhateverWasExpected) {
  const auto bytes = pattern(11 * kMiB + 17);
  for (const std::size_t expected :
       {std::size_t{0}, 7 * kMiB, 9 * kMiB, bytes.size(), 12 * kMiB, 200 * kMiB}) {
    SCOPED_TRACE(std::to_string(expected) + " bytes expected");
    AtomicFile file(path_);
    file.expect(expected);
    const auto half = bytes.size() / 2;
    file.write(std::span(bytes).first(half));
    struct stat status {};
    ASSERT_EQ(::fstat(file.fd(), &status), 0);
    EXPECT_EQ(static_cast<std::size_t>(status.st_size), half);
    file.expect(expected);  // too late
    file.write(std::span(bytes).subspan(half));
    file.commit();
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_LT(static_cast<std::size_t>(status.st_blocks) * 512, bytes.size() + kHugePage);
    EXPECT_EQ(read_file(path_), bytes);
  }
}

TEST_F(LongFiles, AreTrimmedToWhatWasWrittenWhenCommitted) {
  AtomicFile file(path_);
  file.expect(20 * kMiB);
  file.write(to_bytes("short after all"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("short after all"));
}

TEST_F(LongFiles, StayWithinTheLimitOfAFilesSize) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{.rlim_cur = 10 * kMiB, .rlim_max = 10 * kMiB};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    AtomicFile file(path_);
    file.expect(64 * kMiB);  // SIGXFSZ, if it were taken at its word
    file.write(Bytes(9 * kMiB));
    file.commit();
    std::_Exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  EXPECT_EQ(std::filesystem::file_size(path_), 9 * kMiB);
}

TEST(HugePages, AreNotAskedForWhereTheFileIsShort) {
  const ScratchDirectory scratch;
  const Descriptor file(::open((scratch / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(reserve_huge_pages(file.get(), 8 * kMiB - 1), 0U);
  EXPECT_EQ(std::filesystem::file_size(scratch / "file"), 0U);
}

TEST(HugePages, AreNotAskedForOutsideOfATmpfs) {
  std::string name = "/var/tmp/sluice-base-XXXXXX";
  const Descriptor file(::mkstemp(name.data()));
  ASSERT_TRUE(file);
  ::unlink(name.c_str());
  struct statfs where {};
  ASSERT_EQ(::fstatfs(file.get(), &where), 0);
  if (where.f_type == TMPFS_MAGIC) GTEST_SKIP() << "/var/tmp is a tmpfs here";
  EXPECT_EQ(reserve_huge_pages(file.get(), 100 * kMiB), 0U);
  struct stat status {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_size, 0);
}

}  // namespace
}  // namespace sluice::base
