// A time-bounded run of the port-stream fuzzers with random inputs; the seed is printed, and can be given.
#include "stream_fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class StreamFuzz : public ::testing::Test {
 protected:
  template <class Fuzz>
  void run(Fuzz fuzz, std::size_t most_bytes, std::chrono::milliseconds time) {
    const char* given = std::getenv("SLUICE_FUZZ_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    std::printf("SLUICE_FUZZ_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    const auto end = std::chrono::steady_clock::now() + time;
    std::size_t runs = 0;
    std::vector<std::byte> input;
    while (std::chrono::steady_clock::now() < end) {
      input.resize(random() % (most_bytes + 1));
      for (std::byte& byte : input) byte = static_cast<std::byte>(random());
      fuzz(input);
      ++runs;
    }
    EXPECT_GT(runs, 0U);
  }

  Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(StreamFuzz, FramesOfAnyBytesAreDecodedOrIgnored) {
  run(fuzz_frames, 64, 1s);
}
TEST_F(StreamFuzz, StatesKeepTheirBoundsWhateverComes) {
  run(fuzz_states, 4096, 2s);
}
TEST_F(StreamFuzz, StreamsEndWhateverThePeerSays) {
  run(fuzz_stream, 400, 3s);
}

}  // namespace
}  // namespace sluice::test
