// A short run of the fuzzer of deltas with random inputs.
#include "delta_fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "../codec/records.hpp"
#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 200;

class DeltaFuzz : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(DeltaFuzz, AppliesDeltas) {
  // [1, [1]] on the list [1]; from [1, 1, "long"] to [1, 2, "long"].
  EXPECT_TRUE(fuzz_delta(raw(0, 2, 1, 1, 0, 0, 8, 1, 4, 0x92, 1, 0x91, 1)));
  EXPECT_TRUE(
      fuzz_delta(raw(1, 8, 0x93, 1, 1, 0xa4, 'l', 'o', 'n', 'g', 0x93, 1, 2, 0xa4, 'l', 'o', 'n', 'g')));
}

TEST_F(DeltaFuzz, AnyDeltaMakesAValueOrLeavesItAndAnyValueIsReached) {
  run_with_random_input(fuzz_delta, kInputBytes, 2s);
}

}  // namespace
}  // namespace sluice::test
