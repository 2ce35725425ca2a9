// A short run of the port-stream fuzzers with random inputs.
#include "stream_fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class StreamFuzz : public ::testing::Test {
 protected:
  Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(StreamFuzz, FramesOfAnyBytesAreDecodedOrIgnored) {
  run_with_random_input(fuzz_frames, 64, 1s);
}
TEST_F(StreamFuzz, StatesKeepTheirBoundsWhateverComes) {
  run_with_random_input(fuzz_states, 4096, 2s);
}
TEST_F(StreamFuzz, StreamsEndWhateverThePeerSays) {
  run_with_random_input(fuzz_stream, 400, 3s);
}

}  // namespace
}  // namespace sluice::test
