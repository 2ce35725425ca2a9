// A short run of the fuzzer of typed messages with random inputs.
#include "codec_fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "../codec/records.hpp"
#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 40;

class CodecFuzz : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(CodecFuzz, TakesAWholeValue) {
  EXPECT_TRUE(fuzz_codec(packed(some_of_everything())));
}

TEST_F(CodecFuzz, BytesOfAnyKindAreReadAsMsgpackCxxReadsThemOrRefused) {
  run_with_random_input(fuzz_codec, kInputBytes, 2s);
}

}  // namespace
}  // namespace sluice::test
