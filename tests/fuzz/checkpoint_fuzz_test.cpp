// A short run of the fuzzer of checkpoint files with random inputs.
#include "checkpoint_fuzz.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 40;

class CheckpointFuzz : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(CheckpointFuzz, TakesARightFile) {
  EXPECT_TRUE(fuzz_checkpoint(std::array<std::byte, kInputBytes>{}));
}

TEST_F(CheckpointFuzz, FilesOfAnyBytesAreTakenAsTheyWereStoredOrRefused) {
  run_with_random_input(fuzz_checkpoint, kInputBytes, 2s);
}

}  // namespace
}  // namespace sluice::test
