#include "sluice/base/detail/wait_for_events.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "sluice/base/error.hpp"

namespace sluice::base {
namespace {

timespec remaining_until(Deadline deadline) {
  using std::chrono::nanoseconds;
  const auto now = std::chrono::steady_clock::now();
  const auto left = deadline > now ? std::chrono::duration_cast<nanoseconds>(deadline - now) : nanoseconds{0};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  return {.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
}

}  // namespace

bool wait_for_any_event(std::span<pollfd> entries, Deadline deadline) {
  for (;;) {
    const timespec timeout = remaining_until(deadline);
    const int ready = ::ppoll(entries.data(), entries.size(), &timeout, nullptr);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) throw_errno("poll of " + std::to_string(entries.size()) + " descriptors");
  }
}

bool wait_for_events(int fd, short events, Deadline deadline) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return wait_for_any_event({&entry, 1}, deadline);
}

bool is_readable(int fd) noexcept {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;  // 0 for a negative one
}

}  // namespace sluice::base
