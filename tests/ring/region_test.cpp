// A region is what layout.hpp draws, and nobody but its owner can change it.
#include "sluice/ring/region.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "child_process.hpp"
#include "full_descriptor_table.hpp"
#include "open_descriptors.hpp"
#include "sluice/base/error.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"

namespace sluice::ring::testing {
namespace {

using test::throws;

constexpr std::size_t kDataOffset = 8192;

RegionOptions small() {
  return {.capacity = 4096, .replay_window = 1024};
}

Descriptor duplicate(int fd) {
  return Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

/// A memfd with any bytes, size, seals and number of written bytes: what a hostile peer may send.
Descriptor forged_region(const RegionHeader& header, std::size_t bytes, int seals = kAllSeals,
                         std::optional<std::size_t> written_bytes = {}) {
  Descriptor fd(::memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  std::vector<char> content(written_bytes.value_or(bytes));
  std::memcpy(content.data(), &header, std::min(sizeof header, content.size()));
  EXPECT_EQ(::pwrite(fd.get(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

RegionHeader valid_header() {
  RegionHeader header;
  header.layout_hash = kLayoutHash;
  header.capacity = 4096;
  header.data_offset = kDataOffset;
  return header;
}

void open_forged(const RegionHeader& header, std::size_t bytes = kDataOffset + 4096) {
  (void)PeerRegion::open(forged_region(header, bytes), SessionId{}, 0);
}

RegionOptions small_in(const std::filesystem::path& file) {
  RegionOptions options = small();
  options.file = file;
  return options;
}

TEST(RegionInAFile, IsOpenedByItsNameAndReadOnly) {
  const test::TempDirectory directory;
  const OwnedRegion own = OwnedRegion::create(small_in(directory.file("ring")));
  own.view().data[5] = std::byte{42};
  const PeerRegion peer = PeerRegion::open_file(directory.file("ring"));
  EXPECT_EQ(peer.view().data[5], std::byte{42});
  EXPECT_EQ(peer.view().header.capacity, 4096U);
  EXPECT_EQ(::ftruncate(own.descriptor(), 0), -1) << "the descriptor that is handed out only reads";
  EXPECT_TRUE(std::filesystem::is_regular_file(directory.file("ring")));
}

TEST(RegionInAFile, IsAloneInItsDirectory) {
  const test::TempDirectory directory;
  const OwnedRegion own = OwnedRegion::create(small_in(directory.file("ring")));
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    EXPECT_EQ(entry.path(), directory.file("ring"));
}

TEST(RegionInAFile, RemovesOnlyItself) {
  const test::TempDirectory directory;
  OwnedRegion first = OwnedRegion::create(small_in(directory.file("ring")));
  OwnedRegion second = OwnedRegion::create(small_in(directory.file("ring")));
  first.remove_file();
  EXPECT_TRUE(std::filesystem::exists(directory.file("ring"))) << "it is the second one's";
  second.remove_file();
  EXPECT_FALSE(std::filesystem::exists(directory.file("ring")));
}

TEST(Region, HasTheOffsetsAndSizesThatTheLayoutDraws) {
  const OwnedRegion region = OwnedRegion::create(small());
  const OwnView& own = region.view();
  const auto* base = reinterpret_cast<const std::byte*>(own.control) - kControlOffset;
  const auto offset = [&](const void* field) { return static_cast<const std::byte*>(field) - base; };
  EXPECT_EQ(offset(&own.control->tail.tail), 4096);
  EXPECT_EQ(offset(&own.control->tail.tail_sequence), 4104);
  EXPECT_EQ(offset(&own.control->history.oldest), 4224);
  EXPECT_EQ(offset(&own.control->producer_wait.wait_position), 4352);
  EXPECT_EQ(offset(&own.control->producer_wait.closed), 4360);
  EXPECT_EQ(offset(&own.control->release.released), 4480);
  EXPECT_EQ(offset(&own.control->consumer_wait.wait_position), 4608);
  EXPECT_EQ(offset(&own.control->session_peer.epoch), 4736);
  EXPECT_EQ(offset(own.data), static_cast<std::ptrdiff_t>(kDataOffset));
  EXPECT_EQ(::lseek(region.descriptor(), 0, SEEK_END), static_cast<off_t>(kDataOffset + 4096));
  EXPECT_EQ(std::memcmp(base, "SLUICE\0R", 8), 0);
}

TEST(Region, MapsItsDataTwiceInARow) {
  const OwnedRegion region = OwnedRegion::create(small());
  const PeerRegion peer = PeerRegion::open(duplicate(region.descriptor()), SessionId{}, 0);
  region.view().data[4095] = std::byte{7};
  region.view().data[4096] = std::byte{9};
  EXPECT_EQ(region.view().data[0], std::byte{9});
  EXPECT_EQ(peer.view().data[4095], std::byte{7});
  EXPECT_EQ(peer.view().data[4096], std::byte{9});
  EXPECT_EQ(peer.view().data[4096 + 4095], std::byte{7});
}

TEST(Region, CantBeMappedForWritingTruncatedGrownPunchedOrWrittenByWhoeverHoldsTheDescriptor) {
  const OwnedRegion region = OwnedRegion::create(small());
  test::ChildProcess peer([&] {
    const int fd = region.descriptor();
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    EXPECT_EQ(errno, EPERM);
    void* readable = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT_NE(readable, MAP_FAILED);
    EXPECT_EQ(::mprotect(readable, 4096, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(errno, EACCES);
    EXPECT_EQ(::ftruncate(fd, 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(fd, 1 << 20), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    EXPECT_EQ(errno, EPERM);
    const std::string again = "/proc/self/fd/" + std::to_string(fd);
    const Descriptor reopened(::open(again.c_str(), O_RDWR | O_CLOEXEC));
    if (reopened) {
      EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reopened.get(), 0), MAP_FAILED);
      EXPECT_EQ(::pwrite(reopened.get(), "x", 1, 0), -1);
      EXPECT_EQ(::ftruncate(reopened.get(), 0), -1);
    }
  });
  const auto status = peer.wait_for(std::chrono::seconds(20));
  ASSERT_TRUE(status && status->ok());
}

TEST(Region, HasAllItsPagesFromTheStart) {
  const OwnedRegion region = OwnedRegion::create({.capacity = 1 << 20});
  struct stat status {};
  ASSERT_EQ(::fstat(region.descriptor(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, status.st_size);
}

TEST(Region, RefusesSizesThatNoRegionCanHave) {
  const auto create = [](std::uint64_t capacity, std::uint64_t window) {
    return [=] { (void)OwnedRegion::create({.capacity = capacity, .replay_window = window}); };
  };
  EXPECT_TRUE(throws(sluice::errc::bad_option, "got 0", create(0, 0)));
  EXPECT_TRUE(throws(sluice::errc::bad_option, "got 4095", create(4095, 0)));
  EXPECT_TRUE(throws(sluice::errc::bad_option, "got 12288", create(12288, 0)));
  EXPECT_TRUE(throws(sluice::errc::bad_option, "got 2147483648", create(1ULL << 31U, 0)));
  EXPECT_TRUE(throws(sluice::errc::bad_option, "replay window", create(4096, 2048)));
  EXPECT_TRUE(throws(sluice::errc::bad_option, "multiple of 8", create(4096, 1001)));
  EXPECT_NO_THROW(create(4096, max_replay_window(4096))());
}

TEST(Region, ReportsALackOfAddressSpaceOrDescriptorsAndLeaksNothing) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need address space and descriptors of their own";
#endif
  test::ChildProcess child([] {
    const auto before = test::open_descriptors();
    rlimit limit{};
    ::getrlimit(RLIMIT_AS, &limit);
    const rlimit tight{1ULL << 28U, limit.rlim_max};
    ::setrlimit(RLIMIT_AS, &tight);
    EXPECT_TRUE(throws(std::errc::not_enough_memory, "address space",
                       [] { (void)OwnedRegion::create({.capacity = 1ULL << 28U}); }));
    ::setrlimit(RLIMIT_AS, &limit);
    EXPECT_EQ(test::open_descriptors(), before);
    {
      const test::FullDescriptorTable full;
      EXPECT_TRUE(
          throws(std::errc::too_many_files_open, "memfd_create", [] { (void)OwnedRegion::create(small()); }));
    }
    EXPECT_EQ(test::open_descriptors(), before);
  });
  const auto status = child.wait_for(std::chrono::seconds(20));
  ASSERT_TRUE(status && status->ok());
}

TEST(PeerRegion, OpensWhatAnOwnerMade) {
  const OwnedRegion region = OwnedRegion::create(small());
  EXPECT_EQ(PeerRegion::open(duplicate(region.descriptor()), SessionId{}, 0).view().header.capacity, 4096U);
  EXPECT_NO_THROW(open_forged(valid_header()));
}

TEST(PeerRegion, RefusesAHeaderThatLies) {
  RegionHeader header = valid_header();
  header.magic ^= 1U;
  EXPECT_TRUE(throws(errc::bad_region, "magic", [&] { open_forged(header); }));
  header = valid_header();
  header.layout_version = 2;
  EXPECT_TRUE(throws(errc::bad_version, "version", [&] { open_forged(header); }));
  header = valid_header();
  header.layout_hash ^= 1U;
  EXPECT_TRUE(throws(errc::bad_version, "hash", [&] { open_forged(header); }));
  for (const std::uint64_t capacity : {0ULL, 8ULL, 4095ULL, 6144ULL, 1ULL << 31U, ~0ULL}) {
    header = valid_header();
    header.capacity = capacity;
    EXPECT_TRUE(throws(errc::bad_region, "capacity", [&] { open_forged(header); }));
  }
  header = valid_header();
  header.capacity = 8192;
  EXPECT_TRUE(throws(errc::bad_region, "expected 16384 bytes, got 12288", [&] { open_forged(header); }));
  header = valid_header();
  header.data_offset = 4096;
  EXPECT_TRUE(throws(errc::bad_region, "data at", [&] { open_forged(header); }));
  header = valid_header();
  header.replay_window = 4096;
  EXPECT_TRUE(throws(errc::bad_region, "replay window", [&] { open_forged(header); }));
  header = valid_header();
  header.replay_window = 1001;
  EXPECT_TRUE(throws(errc::bad_region, "multiple of 8", [&] { open_forged(header); }));
  header = valid_header();
  header.first_position = 4;
  EXPECT_TRUE(throws(errc::bad_region, "multiple of 8", [&] { open_forged(header); }));
  header = valid_header();
  header.epoch = 9;
  EXPECT_TRUE(throws(errc::bad_region, "expected epoch 0, got 9", [&] { open_forged(header); }));
}

TEST(PeerRegion, RefusesAFileThatIsTooShortOrTooLong) {
  EXPECT_TRUE(throws(errc::bad_region, "header", [] { open_forged(valid_header(), 40); }));
  EXPECT_TRUE(
      throws(errc::bad_region, "bytes, got", [] { open_forged(valid_header(), kDataOffset + 4095); }));
  EXPECT_TRUE(
      throws(errc::bad_region, "bytes, got", [] { open_forged(valid_header(), kDataOffset + 8192); }));
}

TEST(PeerRegion, RefusesMissingSeals) {
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL}) {
    EXPECT_TRUE(throws(errc::bad_region, "seals", [&] {
      (void)PeerRegion::open(forged_region(valid_header(), kDataOffset + 4096, kAllSeals & ~missing),
                             SessionId{}, 0);
    }));
  }
}

// Reading a hole would allocate memory on our account, or end in SIGBUS where there is none.
TEST(PeerRegion, RefusesHolesInItsMemory) {
  for (const std::size_t written : {std::size_t{4096}, kDataOffset}) {
    EXPECT_TRUE(throws(errc::bad_region, "allocated", [&] {
      (void)PeerRegion::open(forged_region(valid_header(), kDataOffset + 4096, kAllSeals, written),
                             SessionId{}, 0);
    }));
  }
}

TEST(PeerRegion, RefusesHolesBesideWhichThereIsMoreBehindItsEnd) {
  constexpr std::size_t kBytes = kDataOffset + 4096;
  Descriptor fd = forged_region(valid_header(), kBytes, 0, kDataOffset);
  ASSERT_EQ(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, kBytes, kBytes), 0);
  ASSERT_EQ(::fcntl(fd.get(), F_ADD_SEALS, kAllSeals), 0);
  struct stat status {};
  ASSERT_EQ(::fstat(fd.get(), &status), 0);
  ASSERT_GE(status.st_blocks * 512, status.st_size);
  EXPECT_TRUE(throws(errc::bad_region, "expected all of its 12288 bytes allocated, got 8192",
                     [&] { (void)PeerRegion::open(std::move(fd), SessionId{}, 0); }));
}

// Its pages may be reserved and not be there, and the pool that they come from may shrink.
TEST(PeerRegion, RefusesMemoryOfHugePages) {
  Descriptor fd(::memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (!fd) GTEST_SKIP() << "this kernel has no huge pages";
  ASSERT_EQ(::ftruncate(fd.get(), 1 << 30), 0);
  ASSERT_EQ(::fcntl(fd.get(), F_ADD_SEALS, kAllSeals), 0);
  EXPECT_TRUE(throws(errc::bad_region, "", [&] { (void)PeerRegion::open(std::move(fd), SessionId{}, 0); }));
}

TEST(PeerRegion, RefusesADescriptorThatCantBeRead) {
  const Descriptor region = forged_region(valid_header(), kDataOffset + 4096);
  const std::string path = "/proc/self/fd/" + std::to_string(region.get());
  for (const int flags : {O_PATH, O_WRONLY}) {
    Descriptor fd(::open(path.c_str(), flags | O_CLOEXEC));
    ASSERT_TRUE(fd) << flags;
    EXPECT_TRUE(throws(errc::bad_region, "for reading",
                       [&] { (void)PeerRegion::open(std::move(fd), SessionId{}, 0); }));
  }
  EXPECT_NO_THROW((void)PeerRegion::open(Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), {}, 0));
}

TEST(RegionInAFile, IsNeitherAFifoNorALink) {
  const test::TempDirectory directory;
  const auto file = directory.file("ring");
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_TRUE(throws(sluice::errc::unsafe_place, "regular file", [&] { (void)PeerRegion::open_file(file); }));
  std::filesystem::remove(file);
  const OwnedRegion target = OwnedRegion::create(small_in(directory.file("target")));
  std::filesystem::create_symlink(directory.file("target"), file);
  EXPECT_TRUE(throws(std::errc::too_many_symbolic_link_levels, "opening the region",
                     [&] { (void)PeerRegion::open_file(file); }));
}

TEST(PeerRegion, RefusesWhatIsNoMemfd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Descriptor write_end(ends[1]);
  EXPECT_TRUE(throws(errc::bad_region, "memfd", [&] { (void)PeerRegion::open(Descriptor(ends[0]), {}, 0); }));
  for (const char* path : {"/", "/dev/null", "/proc/self/exe", "/proc/self/mem"}) {
    EXPECT_TRUE(throws(errc::bad_region, "memfd", [&] {
      (void)PeerRegion::open(Descriptor(::open(path, O_RDONLY | O_CLOEXEC)), {}, 0);
    })) << path;
  }
#ifdef SYS_memfd_secret
  if (Descriptor secret(static_cast<int>(::syscall(SYS_memfd_secret, 0))); secret) {
    EXPECT_TRUE(throws(errc::bad_region, "memfd", [&] { (void)PeerRegion::open(std::move(secret), {}, 0); }));
  }
#endif
}

}  // namespace
}  // namespace sluice::ring::testing
