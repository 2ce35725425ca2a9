// A short run of the fuzzer of peers with random inputs.
#include "frames_fuzz.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>

#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 400;

class FramesFuzz : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(FramesFuzz, APeerThatIsSpokenToWellGoesOn) {
  constexpr std::array<std::byte, 1> kHello{std::byte{1}};
  EXPECT_TRUE(fuzz_frames(kHello));
}

TEST_F(FramesFuzz, AnythingTheOtherSideSendsIsTakenOrRefusedAndHarmsNobodyElse) {
  run_with_random_input(fuzz_frames, kInputBytes, 3s);
}

}  // namespace
}  // namespace sluice::test
