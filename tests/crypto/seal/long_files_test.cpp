// Long sealed files on a tmpfs get huge pages if the kernel has some.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "sluice/base/descriptor.hpp"
#include "sluice/crypto/seal/files.hpp"
#include "support.hpp"
#include "tmpfs_test.hpp"

namespace sluice::crypto::test {
namespace {

constexpr std::size_t kMiB = 1024UL * 1024;
constexpr std::size_t kHugePage = 2 * kMiB;

// Bytes of the file that this process maps by huge pages when it maps the whole file.
std::size_t in_huge_pages(const std::filesystem::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto size = static_cast<std::size_t>(std::filesystem::file_size(path));
  const auto room = size + kHugePage;
  void* const area = ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  auto* const aligned =
      static_cast<std::byte*>(area) + (kHugePage - reinterpret_cast<std::uintptr_t>(area) % kHugePage);
  void* const file = ::mmap(aligned, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd.get(), 0);
  EXPECT_EQ(file, aligned);
  EXPECT_EQ(::madvise(file, size, MADV_POPULATE_READ), 0);
  std::ifstream sums("/proc/self/smaps_rollup");
  std::size_t found = 0;
  for (std::string word; sums >> word;) {
    if (word == "ShmemPmdMapped:") sums >> found;
  }
  ::munmap(area, room);
  return found * 1024;
}

using LongFiles = sluice::test::TmpfsTest;

// What the kernel does, asked in another way than the code under test asks: a whole page first, then the
// call.
bool kernel_gives_huge_pages(const std::filesystem::path& path) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE
  const Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (::ftruncate(fd.get(), kHugePage) != 0 || ::pwrite(fd.get(), "x", 1, 0) != 1) return false;
  void* const area = ::mmap(nullptr, 2 * kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* const aligned =
      static_cast<std::byte*>(area) + (kHugePage - reinterpret_cast<std::uintptr_t>(area) % kHugePage);
  const bool gives =
      ::mmap(aligned, kHugePage, PROT_READ, MAP_SHARED | MAP_FIXED, fd.get(), 0) != MAP_FAILED &&
      ::madvise(aligned, kHugePage, kCollapse) == 0;
  ::munmap(area, 2 * kHugePage);
  ::unlink(path.c_str());
  return gives;
}

TEST_F(LongFiles, GetHugePagesWhenTheyAreSealedAndOpened) {
  if (!kernel_gives_huge_pages(scratch_ / "probe"))
    GTEST_SKIP() << "the kernel has no huge pages for a tmpfs";
  const auto plain = pattern(24 * kMiB + 4321);
  write_file(scratch_ / "plain", plain);
  if (in_huge_pages(scratch_ / "plain") != 0) GTEST_SKIP() << "every file has huge pages on this tmpfs";
  seal_file(scratch_ / "plain", scratch_ / "sealed", test_key());
  EXPECT_GT(in_huge_pages(scratch_ / "sealed"), 0U);
  open_file(scratch_ / "sealed", path_, test_key());
  EXPECT_GT(in_huge_pages(path_), 0U);
  EXPECT_EQ(read_file(path_), plain);
}

TEST_F(LongFiles, FitWhereTheyFitWithoutHugePages) {
  const auto small = scratch_ / "small";
  std::filesystem::create_directory(small);
  if (::mount("none", small.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=17m") != 0)
    GTEST_SKIP() << "can't mount a small tmpfs here";
  const auto plain = pattern(16 * kMiB + 100'000);
  write_file(scratch_ / "plain", plain);
  EXPECT_EQ(seal_file(scratch_ / "plain", small / "file", test_key()), plain.size());
  EXPECT_EQ(open_bytes(read_file(small / "file"), test_key()), plain);

  write_file(scratch_ / "plain", pattern(18 * kMiB));
  const auto old = read_file(small / "file");
  EXPECT_EQ(code_of([&] { seal_file(scratch_ / "plain", small / "file", test_key()); }),
            std::errc::no_space_on_device);
  EXPECT_EQ(read_file(small / "file"), old);
  EXPECT_EQ(::umount(small.c_str()), 0);
}

}  // namespace
}  // namespace sluice::crypto::test
