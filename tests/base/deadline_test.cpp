// Lengths of time of every unit, and the deadlines that they make.
#include "sluice/base/deadline.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

template <typename Unit>
class DurationOf : public ::testing::Test {};
using Units =
    ::testing::Types<nanoseconds, std::chrono::microseconds, std::chrono::milliseconds, std::chrono::seconds,
                     std::chrono::minutes, std::chrono::hours, std::chrono::days, std::chrono::years,
                     std::chrono::duration<std::uint64_t>, std::chrono::duration<std::uint64_t, std::nano>,
                     std::chrono::duration<std::int32_t, std::ratio<3600>>>;
TYPED_TEST_SUITE(DurationOf, Units);

TYPED_TEST(DurationOf, AnyUnitAtItsLargestLastsForEver) {
  EXPECT_EQ(deadline_in(TypeParam::max()), kNoDeadline);
  EXPECT_EQ(Duration(TypeParam::max()), nanoseconds::max());
  EXPECT_EQ(deadline_in(TypeParam(std::numeric_limits<typename TypeParam::rep>::max() - 1)), kNoDeadline);
}

TYPED_TEST(DurationOf, AnyUnitAtItsSmallestIsOverAtOnce) {
  const Deadline deadline = deadline_in(TypeParam::min());
  EXPECT_LE(deadline, steady_clock::now());
  EXPECT_GE(deadline, Deadline{}) << "far enough from the clock's limits to be subtracted from";
}

TYPED_TEST(DurationOf, AnyUnitIsTakenExactly) {
  EXPECT_EQ(Duration(TypeParam(2)).count(), std::chrono::duration_cast<nanoseconds>(TypeParam(2)).count());
  EXPECT_EQ(Duration(TypeParam(0)), 0ns);
}

TEST(Duration, IsTakenExactlyUpToTheLastThatFits) {
  constexpr std::int64_t kHours = std::numeric_limits<std::int64_t>::max() / 3'600'000'000'000;
  static_assert(Duration(std::chrono::hours(kHours)) < nanoseconds::max());
  static_assert(Duration(std::chrono::hours(kHours + 1)) == nanoseconds::max());
  static_assert(Duration(std::chrono::hours(-kHours)) > nanoseconds::min());
  static_assert(Duration(std::chrono::hours(-kHours - 1)) == nanoseconds::min());
}

TEST(Deadlines, OfANegativeTimeoutHaveCome) {
  for (const Duration timeout : {Duration(-1ns), Duration(-1h)}) {
    const Deadline deadline = deadline_in(timeout);
    EXPECT_LE(deadline, steady_clock::now());
  }
}

}  // namespace
}  // namespace sluice::test
