// A short run of the fuzzer of the command's JSON text with random inputs.
#include "json_fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string_view>

#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 80;

class JsonFuzz : public ::testing::Test {
 protected:
  static bool takes(std::string_view input) { return fuzz_json(std::as_bytes(std::span(input))); }

  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(JsonFuzz, TakesAWholeValueOfEitherForm) {
  EXPECT_TRUE(takes(R"(2{"a":[1,{"$binary":"AAE="}]})"));
  EXPECT_FALSE(takes(R"(2{"a":[1,{"$binary":"AAE"}]})"));
  EXPECT_TRUE(takes("1\x92\x01\xc0"));
  EXPECT_FALSE(takes("1\x92\x01"));
}

TEST_F(JsonFuzz, AnythingIsReadAsAValueThatIsTheSameInTheOtherFormOrRefused) {
  run_with_random_input(fuzz_json, kInputBytes, 2s);
}

}  // namespace
}  // namespace sluice::test
