// kill -9 at random moments of two processes that stream through a session.
#include "random_kills.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "watchdog.hpp"

namespace sluice::test {
namespace {

TEST(RandomKills, LoseDoubleAndAlterNothing) {
  const Watchdog watchdog(std::chrono::seconds(240), "killing at random");
  RandomKillsOptions options;
  options.seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  const RandomKillsReport report = kill_at_random(options);
  EXPECT_GE(report.kills, 500U);
  EXPECT_GT(report.kills_while_opening, 0U);
  EXPECT_GT(report.kills_before_welcome, 0U);
  EXPECT_GT(report.messages, 1000U);
  EXPECT_GT(report.redelivered, 0U);
}

}  // namespace
}  // namespace sluice::test
