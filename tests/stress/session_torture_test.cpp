// A short torture of sessions in the suite; a long one by ./run long.
#include "session_torture.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "watchdog.hpp"

namespace sluice::test {
namespace {

#ifdef SLUICE_SOAK
constexpr std::uint64_t kRounds = 1'000'000;
constexpr std::chrono::seconds kTime{600};
#else
constexpr std::uint64_t kRounds = 40;
constexpr std::chrono::seconds kTime{30};
#endif

class SessionTorture : public ::testing::TestWithParam<bool> {};

TEST_P(SessionTorture, LosesNothingAndLeavesNobodyOutForEver) {
  const Watchdog watchdog(2 * kTime + std::chrono::seconds(200), "a torture of sessions");
  TortureOptions options{.rounds = kRounds, .time = kTime, .in_files = GetParam()};
  const char* const seed = std::getenv("SLUICE_TORTURE_SEED");
  options.seed = seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device{}();
  if (const char* const seconds = std::getenv("SLUICE_TORTURE_SECONDS"))
    options.time = std::chrono::seconds(std::atoi(seconds));
  std::printf("SLUICE_TORTURE_SEED=%llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  const TortureReport report = torture(options);
  std::printf("%s\n", report.text().c_str());
  EXPECT_GT(report.messages, 100U);
}

INSTANTIATE_TEST_SUITE_P(Kept, SessionTorture, ::testing::Bool(),
                         [](const auto& tested) { return tested.param ? "InFiles" : "InMemory"; });

}  // namespace
}  // namespace sluice::test
