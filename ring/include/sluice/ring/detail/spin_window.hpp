// How long one side of one direction polls before it sleeps, learned from how its waits went.
//
// The window opens and closes by what polling was worth. Found while polling: the window doubles, up to its
// limit. Polled in vain, and slept: it halves, and closes if little is left. Found, but later than by
// sleeping at once: it halves, too. Lost the CPU while polling: it closes at once. While it is closed, a wait
// in some polls all the same, as a probe, and opens the window again if that was better than sleeping; the
// probes become rarer with each one that fails.
#pragma once

#include <chrono>
#include <cstdint>

#include "sluice/base/status.hpp"

#pragma GCC visibility push(default)

namespace sluice::ring {

/// No clock is read and nothing waits in here: the caller says what happened. One wait is begin(), then
/// found_at_once(), found_after() or slept(); lost_cpu() before them. Thread-safety: one thread.
class SpinWindow {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  /// Never longer than `limit`; zero: never at all.
  explicit SpinWindow(nanoseconds limit) noexcept : limit_(limit), window_(limit) {}

  /// A wait begins: how long it polls, zero for not at all.
  nanoseconds begin() noexcept {
    probing_ = false;
    polled_ = true;
    return window_ != nanoseconds::zero() && late_finds_ < kLateFinds && !idle_ ? window_ : begin_otherwise();
  }

  /// It was there before a clock was read.
  void found_at_once() noexcept {
    if (window_ != limit_) [[unlikely]]
      grow();
  }
  void found_after(nanoseconds time) noexcept;
  /// It wasn't found by polling, if the wait polled, and the sleep took `time`. timed_out: the other side is
  /// idle, and the next wait sleeps at once.
  void slept(nanoseconds time, Status how_it_ended) noexcept;
  void lost_cpu() noexcept { close(); }

 private:
  static constexpr nanoseconds kLeast{2'000};
  static constexpr std::uint32_t kFirstGap = 16;
  static constexpr std::uint32_t kLargestGap = 1024;
  static constexpr std::uint32_t kLateFinds = 16;

  nanoseconds begin_otherwise() noexcept;
  void grow() noexcept;
  void shrink() noexcept;
  void close() noexcept;

  nanoseconds limit_;
  nanoseconds window_;             // zero: closed
  nanoseconds typical_sleep_{};    // of waits that slept at once; zero: not known yet
  std::uint32_t gap_ = kFirstGap;  // waits from one probe to the next while closed
  std::uint32_t until_probe_ = kFirstGap;
  std::uint32_t late_finds_ = 0;
  bool probing_ = false;  // this wait is a probe
  bool polled_ = false;   // this wait polls
  bool idle_ = false;
};

}  // namespace sluice::ring

#pragma GCC visibility pop
