#include "processes.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "child.hpp"
#include "clock.hpp"
#include "shared_memory.hpp"

namespace sluice::bench {

void Meeting::arrive_and_wait() noexcept {
  // acq_rel: what either did before the meeting is visible to the other after it.
  const auto goal = arrived_.fetch_add(1, std::memory_order_acq_rel) / 2 * 2 + 2;
  while (arrived_.load(std::memory_order_acquire) < goal) cpu_pause();
}

std::uint64_t run_pair(const Cores& cores, std::chrono::seconds deadline,
                       const std::function<void(Side)>& body) {
  const Shared<std::array<ErrorText, 2>> errors;
  Child first(Side::first, cores.first, body, (*errors)[0]);
  Child second(Side::second, cores.second, body, (*errors)[1]);
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (first.running() || second.running()) {
    std::array<pollfd, 2> polled{
        {{first.running() ? first.fd() : -1, POLLIN, 0}, {second.running() ? second.fd() : -1, POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    const auto ready =
        poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "poll");
    if (ready == 0) throw std::runtime_error(fmt::format("no end within {} s", deadline.count()));
    if (ready > 0 && polled[0].revents != 0) first.reap();
    if (ready > 0 && polled[1].revents != 0) second.reap();
  }
  return first.times_preempted() + second.times_preempted();
}

}  // namespace sluice::bench
