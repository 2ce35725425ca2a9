// Points in time until which a call may wait, and lengths of time of any unit.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ratio>
#include <utility>

#pragma GCC visibility push(default)

namespace sluice {

/// Nanoseconds, made from whole numbers of any unit that is a multiple of them. What doesn't fit becomes the
/// longest time there is, which means for ever: so std::chrono::hours::max() does. As does the shortest,
/// downwards.
struct Duration : std::chrono::nanoseconds {
  constexpr Duration() noexcept : duration(0) {}

  template <std::integral Rep, typename Period>
  requires(std::ratio_divide<Period, std::nano>::den ==
           1) constexpr Duration(std::chrono::duration<Rep, Period> time) noexcept
      : duration(in_nanoseconds(time.count(), std::ratio_divide<Period, std::nano>::num)) {}

 private:
  template <typename Rep>
  static constexpr std::int64_t in_nanoseconds(Rep count, std::int64_t unit) noexcept {
    using Limits = std::numeric_limits<std::int64_t>;
    if (std::cmp_greater(count, Limits::max() / unit)) return Limits::max();
    if (std::cmp_less(count, Limits::min() / unit)) return Limits::min();
    return static_cast<std::int64_t>(count) * unit;
  }
};

/// A point of the steady clock, or kNoDeadline.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

/// The deadline that lies `timeout` from now; a timeout too far away to add is kNoDeadline, a negative one is
/// 0.
Deadline deadline_in(Duration timeout) noexcept;

}  // namespace sluice

#pragma GCC visibility pop
