#include "huge_pages.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace sluice::base {
namespace {

#ifdef MADV_COLLAPSE
constexpr int kCollapse = MADV_COLLAPSE;
#else
constexpr int kCollapse = 25;
#endif

constexpr std::uint64_t kPage = std::uint64_t{2} << 20U;
constexpr std::uint64_t kShortFile = 4 * kPage;
constexpr std::uint64_t kMost = 512 * kPage;

// What a huge page may cost: a wait for a busy processor now and then, but together not more than what is
// saved.
constexpr std::chrono::microseconds kOneWait{8000};
constexpr std::chrono::microseconds kSavedByAPage{400};

bool on_tmpfs(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

// A file that grows beyond the limit ends the process with SIGXFSZ.
bool within_limit(std::uint64_t length) {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && length <= limit.rlim_cur;
}

/// Addresses for one huge page, with a huge page's alignment. Nothing ever touches what is mapped there.
class Window {
 public:
  Window() noexcept
      : area_(::mmap(nullptr, 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window() {
    if (area_ != MAP_FAILED) ::munmap(area_, 2 * kPage);
  }

  /// MADV_COLLAPSE puts a huge page in the place of what the file has there, if it has anything and is long
  /// enough.
  bool reserve(int fd, std::uint64_t position) const noexcept {
    if (area_ == MAP_FAILED || ::fallocate(fd, 0, static_cast<off_t>(position), 1) < 0) return false;
    const auto past_a_page = reinterpret_cast<std::uintptr_t>(area_) % kPage;
    auto* const aligned = static_cast<std::byte*>(area_) + (kPage - past_a_page);
    return ::mmap(aligned, kPage, PROT_READ, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(position)) !=
               MAP_FAILED &&
           ::madvise(aligned, kPage, kCollapse) == 0;
  }

 private:
  void* area_;
};

}  // namespace

std::uint64_t reserve_huge_pages(int fd, std::uint64_t bytes) noexcept {
  const auto length = std::min(bytes / kPage * kPage, kMost);
  if (length < kShortFile || !within_limit(length) || !on_tmpfs(fd)) return 0;
  if (::ftruncate(fd, static_cast<off_t>(length)) < 0) return 0;
  const Window window;
  const auto start = std::chrono::steady_clock::now();
  auto may_take_until = start + kOneWait;
  for (std::uint64_t position = 0; position < length; position += kPage) {
    if (!window.reserve(fd, position) || std::chrono::steady_clock::now() > may_take_until) break;
    may_take_until += kSavedByAPage;
  }
  return length;
}

}  // namespace sluice::base
