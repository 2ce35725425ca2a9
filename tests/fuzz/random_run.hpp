// A time-bounded run of a fuzzer's body with random inputs; the seed is printed, and can be given.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace sluice::test {

template <class Fuzz>
void run_with_random_input(Fuzz fuzz, std::size_t most_bytes, std::chrono::milliseconds time) {
  const char* given = std::getenv("SLUICE_FUZZ_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
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

}  // namespace sluice::test
