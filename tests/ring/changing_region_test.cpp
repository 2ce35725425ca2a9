// A peer that changes its region while we look at it: at every system call of the look, in turn.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstring>
#include <functional>
#include <vector>

#include "child_process.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/region.hpp"

namespace {

/// Called with the descriptor in front of each call that is watched.
std::function<void(int fd)> in_front;

void announce(int fd) {
  if (!in_front) return;
  const std::function<void(int)> peer = std::exchange(in_front, nullptr);  // it makes the same calls
  peer(fd);
  in_front = peer;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// Each stands before the C library's function of the same name, and passes on to it.
extern "C" int fcntl(int fd, int command, ...) {
  static auto* const next = real<int(int, int, ...)>("fcntl");
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  announce(fd);
  return next(fd, command, argument);
}
extern "C" int fstat(int fd, struct stat* status) {
  static auto* const next = real<int(int, struct stat*)>("fstat");
  announce(fd);
  return next(fd, status);
}
extern "C" off_t lseek(int fd, off_t offset, int whence) {
  static auto* const next = real<off_t(int, off_t, int)>("lseek");
  announce(fd);
  return next(fd, offset, whence);
}
extern "C" ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
  static auto* const next = real<ssize_t(int, void*, size_t, off_t)>("pread");
  announce(fd);
  return next(fd, bytes, size, offset);
}
extern "C" void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  static auto* const next = real<void*(void*, size_t, int, int, int, off_t)>("mmap");
  if (fd >= 0) announce(fd);
  return next(address, bytes, protection, flags, fd, offset);
}

namespace sluice::ring::testing {
namespace {

constexpr std::uint64_t kCapacity = 4096;
constexpr off_t kDataOffset = 8192;
constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

/// A region that is right in everything, but that its seals are missing.
Descriptor unsealed_region() {
  RegionHeader header;
  header.layout_hash = kLayoutHash;
  header.capacity = kCapacity;
  header.data_offset = kDataOffset;
  std::vector<char> bytes(kDataOffset + kCapacity);
  std::memcpy(bytes.data(), &header, sizeof header);
  Descriptor fd(::memfd_create("changing", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

void truncate(int fd) {
  EXPECT_EQ(::ftruncate(fd, kDataOffset), 0);
}
void punch(int fd) {
  EXPECT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kDataOffset, kCapacity), 0);
}

/// Opens a region whose owner does this, and then seals it, in front of our call number `nth`. If it is
/// accepted all of it is there to be read. False: there are not so many calls.
bool meet_a_change(int nth, void (*change)(int fd)) {
  Descriptor fd = unsealed_region();
  int left = nth;
  bool changed = false;
  in_front = [&](int peers) {
    if (left-- != 0) return;
    change(peers);
    changed = ::fcntl(peers, F_ADD_SEALS, kAllSeals) == 0;
  };
  try {
    const PeerRegion region = PeerRegion::open(std::move(fd), SessionId{}, 0);
    in_front = nullptr;
    struct stat status {};
    EXPECT_EQ(::fstat(region.descriptor(), &status), 0);
    EXPECT_EQ(status.st_size, static_cast<off_t>(kDataOffset + kCapacity));
    EXPECT_EQ(::lseek(region.descriptor(), 0, SEEK_HOLE), status.st_size);
    EXPECT_EQ(region.view().data[0], std::byte{0});
  } catch (const error& why) {
    in_front = nullptr;
    EXPECT_EQ(why.code(), errc::bad_region) << why.what();
  }
  return changed;
}

// In a process of its own: what isn't refused ends in SIGBUS.
TEST(ChangingRegion, IsNeverReadBeyondWhatIsThere) {
  for (auto* const change : {truncate, punch}) {
    test::ChildProcess reader([change] {
      int calls = 0;
      while (meet_a_change(calls, change)) ++calls;
      EXPECT_GE(calls, 2);
    });
    const auto status = reader.wait_for(std::chrono::seconds(20));
    EXPECT_TRUE(status && status->ok()) << (status ? to_string(*status) : "hangs");
  }
}

}  // namespace
}  // namespace sluice::ring::testing
