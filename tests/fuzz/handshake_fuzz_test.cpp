// A short run of the fuzzer of handshakes with random inputs.
#include "handshake_fuzz.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 40;

class HandshakeFuzz : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(HandshakeFuzz, ConnectsEveryRoleToAPeerThatKeepsTheRules) {
  for (std::uint8_t role = 0; role < 8; ++role) {
    std::array<std::byte, kInputBytes> input{};
    input.at(0) = std::byte{role};
    EXPECT_TRUE(fuzz_handshake(input)) << "role " << int{role};
  }
}

TEST_F(HandshakeFuzz, EndsWithAConnectionOrAnErrorAndNothingLeftOpen) {
  run_with_random_input(fuzz_handshake, kInputBytes, 3s);
}

}  // namespace
}  // namespace sluice::test
