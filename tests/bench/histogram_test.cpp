#include "harness/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace sluice::bench {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.percentile(50), 0U);
  EXPECT_EQ(histogram.max(), 0U);
  EXPECT_EQ(histogram.middle_mean(), 0.0);
}

TEST(Histogram, KeepsShortDurationsExactly) {
  for (std::uint64_t ns = 0; ns < 512; ++ns) {
    Histogram histogram;
    histogram.record(ns);
    EXPECT_EQ(histogram.percentile(50), ns);
  }
}

TEST(Histogram, ReportsPercentilesAtMostItsErrorTooHigh) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> durations(8.0, 2.5);
  Histogram histogram;
  std::vector<std::uint64_t> sorted;
  for (int i = 0; i < 20'000; ++i) {
    const auto ns = static_cast<std::uint64_t>(durations(random));
    histogram.record(ns);
    sorted.push_back(ns);
  }
  std::sort(sorted.begin(), sorted.end());
  for (const double percent : {0.1, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * 20'000)) - 1;
    const auto truth = sorted[rank];
    const auto reported = histogram.percentile(percent);
    EXPECT_GE(reported, truth) << percent;
    EXPECT_LE(static_cast<double>(reported), static_cast<double>(truth) * (1 + Histogram::kRelativeError))
        << percent;
  }
  EXPECT_EQ(histogram.max(), sorted.back());
}

TEST(Histogram, CountsDurationsBeyondItsRangeAsTheLongest) {
  Histogram histogram;
  histogram.record(UINT64_MAX);
  EXPECT_EQ(histogram.count(), 1U);
  EXPECT_EQ(histogram.percentile(50), (std::uint64_t{1} << Histogram::kMaxBits) - 1);
  EXPECT_EQ(histogram.max(), UINT64_MAX);
}

TEST(Histogram, MiddleMeanIgnoresBothTails) {
  Histogram histogram;
  histogram.record(1);
  for (int i = 0; i < 5; ++i) histogram.record(400);
  for (int i = 0; i < 5; ++i) histogram.record(410);
  histogram.record(1'000'000'000);
  // The middle six of twelve: three of 400 and three of 410.
  EXPECT_DOUBLE_EQ(histogram.middle_mean(), 405.0);
}

TEST(Histogram, AddsAnother) {
  Histogram one;
  Histogram two;
  one.record(100);
  two.record(300);
  two.record(500);
  one.add(two);
  EXPECT_EQ(one.count(), 3U);
  EXPECT_EQ(one.percentile(50), 300U);
  EXPECT_EQ(one.max(), 500U);
}

}  // namespace
}  // namespace sluice::bench
