// Memory for a region: the limits that would end the process are errors.
#include "allocation.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "child_process.hpp"
#include "memory_group.hpp"
#include "sluice/ring/region.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"

namespace sluice::ring::testing {
namespace {

using test::ChildProcess;
using test::TempDirectory;

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// A folder that looks like a memory group's.
class GroupFolder {
 public:
  std::filesystem::path top() const { return directory_.path(); }

  std::filesystem::path add(const std::string& name) const {
    std::filesystem::create_directories(top() / name);
    return top() / name;
  }
  static void write(const std::filesystem::path& file, const std::string& content) {
    std::ofstream(file) << content;
  }

 private:
  TempDirectory directory_;
};

TEST(MemoryGroup, AllowsItsLimitLessWhatIsUsedAndCanNotBeGivenBack) {
  const GroupFolder groups;
  const auto folder = groups.add("a");
  GroupFolder::write(folder / "memory.max", "1000000\n");
  GroupFolder::write(folder / "memory.current", "700000\n");
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), kUnlimited), 300'000U);
  GroupFolder::write(folder / "memory.stat",
                     "anon 1\ninactive_file 100000\nactive_file 50000\nslab_reclaimable 7\n");
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), kUnlimited), 450'007U);
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), 300'000), 300'000U) << "enough without";
  GroupFolder::write(folder / "memory.current", "1200007\n");
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), kUnlimited), 0U) << "more than all";
}

TEST(MemoryGroup, OfTheOlderInterfaceIsReadToo) {
  const GroupFolder groups;
  const auto folder = groups.add("a");
  GroupFolder::write(folder / "memory.limit_in_bytes", "1000000\n");
  GroupFolder::write(folder / "memory.usage_in_bytes", "700000\n");
  GroupFolder::write(folder / "memory.stat",
                     "inactive_file 5\ntotal_inactive_file 10\ntotal_active_file 1\n");
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), kUnlimited), 300'011U);
}

TEST(MemoryGroup, IsBoundByTheGroupsAboveIt) {
  const GroupFolder groups;
  const auto folder = groups.add("a/b/c");
  GroupFolder::write(folder / "memory.max", "max\n");
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), kUnlimited), kUnlimited);
  GroupFolder::write(groups.top() / "a" / "memory.max", "5000\n");
  EXPECT_EQ(room_in_memory_group(folder, groups.top().string(), kUnlimited), 5000U);
  EXPECT_EQ(room_in_memory_group(groups.top() / "gone" / "b", groups.top().string(), kUnlimited), kUnlimited);
}

/// A memory group with a limit, which ends with this object; nothing if this user can't make one.
class LimitedGroup {
 public:
  explicit LimitedGroup(std::uint64_t bytes) {
    for (const char* const place : {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"}) {
      for (const char* const limit : {"memory.limit_in_bytes", "memory.max"}) {
        folder_ = std::filesystem::path(place) / ("sluice-test-" + std::to_string(::getpid()));
        if (::mkdir(folder_.c_str(), 0700) != 0) continue;
        if (std::filesystem::exists(folder_ / limit) && write(limit, bytes)) return;
        ::rmdir(folder_.c_str());
      }
    }
    folder_.clear();
  }
  LimitedGroup(const LimitedGroup&) = delete;
  LimitedGroup& operator=(const LimitedGroup&) = delete;
  ~LimitedGroup() {
    for (int i = 0; i < 1000 && !folder_.empty() && ::rmdir(folder_.c_str()) != 0; ++i) ::usleep(1000);
  }

  explicit operator bool() const { return !folder_.empty(); }
  bool enter() const { return write("cgroup.procs", static_cast<std::uint64_t>(::getpid())); }

 private:
  bool write(const char* name, std::uint64_t number) const {
    std::ofstream file(folder_ / name);
    file << number << std::flush;
    return file.good();
  }

  std::filesystem::path folder_;
};

TEST(MemoryGroup, ThatIsTooSmallForARegionIsAnErrorAndNotTheEndOfTheProcess) {
  const LimitedGroup group(64U << 20U);  // an emulator takes some, too
  if (!group) GTEST_SKIP() << "can't make a memory group here (needs root, and a memory controller)";
  ChildProcess child([&] {
    ASSERT_TRUE(group.enter());
    EXPECT_TRUE(test::throws(std::errc::not_enough_memory, "the memory group allows",
                             [] { (void)OwnedRegion::create({.capacity = 256U << 20U}); }));
    (void)OwnedRegion::create({.capacity = 1U << 20U});
  });
  const auto status = child.wait_for(std::chrono::seconds(30));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << test::to_string(*status);
}

TEST(Allocation, BeyondTheLimitOnTheSizeOfFilesIsAnErrorAndNoSignal) {
  ChildProcess child([] {
    const rlimit small{.rlim_cur = 32'768, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_TRUE(test::throws(std::errc::file_too_large, "ulimit -f",
                             [] { (void)OwnedRegion::create({.capacity = 65'536, .replay_window = 0}); }));
    (void)OwnedRegion::create({.capacity = 4096, .replay_window = 0});
  });
  const auto status = child.wait_for(std::chrono::seconds(30));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << test::to_string(*status);
}

}  // namespace
}  // namespace sluice::ring::testing
