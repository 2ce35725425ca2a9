#include "futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

namespace sluice::ring {
namespace {

// What <linux/futex.h> and <sys/syscall.h> of a system older than Linux 5.16 don't have.
constexpr long kFutexWaitv = 449;  // the same number on every architecture
constexpr std::uint32_t kSize32 = 2;
struct WaitvEntry {
  std::uint64_t expected;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};
static_assert(sizeof(WaitvEntry) == 24);

/// The steady clock is CLOCK_MONOTONIC, and the calls below take absolute times of that clock.
class Timeout {
 public:
  explicit Timeout(Deadline deadline) noexcept : none_(deadline == kNoDeadline) {
    // The kernel refuses a time before the clock's beginning.
    const auto since_boot = std::max(deadline, Deadline{}).time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot - seconds);
    until_ = {static_cast<std::time_t>(seconds.count()), static_cast<long>(rest.count())};
  }

  const timespec* get() const noexcept { return none_ ? nullptr : &until_; }

 private:
  bool none_;
  timespec until_{};
};

std::uint64_t address_of(const std::atomic<std::uint64_t>& word) noexcept {
  return reinterpret_cast<std::uintptr_t>(&word);
}

}  // namespace

bool futex_wait_either(const std::atomic<std::uint64_t>& shared, std::uint32_t expected,
                       const std::atomic<std::uint64_t>& own, std::uint32_t own_expected,
                       Deadline deadline) noexcept {
  static std::atomic<bool> refused{false};  // relaxed: it publishes nothing
  if (refused.load(std::memory_order_relaxed)) return false;
  const std::array<WaitvEntry, 2> words{
      WaitvEntry{expected, address_of(shared), kSize32, 0},
      WaitvEntry{own_expected, address_of(own), kSize32 | FUTEX_PRIVATE_FLAG, 0}};
  const long result =
      ::syscall(kFutexWaitv, words.data(), words.size(), 0, Timeout(deadline).get(), CLOCK_MONOTONIC);
  if (result >= 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT) return true;
  // ENOSYS, or what a sandbox answers; one may begin at any time.
  refused.store(true, std::memory_order_relaxed);
  return false;
}

void futex_wait(const std::atomic<std::uint64_t>& shared, std::uint32_t expected,
                Deadline deadline) noexcept {
  ::syscall(SYS_futex, address_of(shared), FUTEX_WAIT_BITSET, expected, Timeout(deadline).get(), nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

int futex_wake(const std::atomic<std::uint64_t>& shared) noexcept {
  return static_cast<int>(::syscall(SYS_futex, address_of(shared), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0));
}

void futex_wake_own(const std::atomic<std::uint64_t>& own) noexcept {
  ::syscall(SYS_futex, address_of(own), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace sluice::ring
