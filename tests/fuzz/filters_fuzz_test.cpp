// A short run of the fuzzer of filters with random inputs.
#include "filters_fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string_view>
#include <vector>

#include "random_run.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kInputBytes = 80;

class FiltersFuzz : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "a fuzzing run"};
};

TEST_F(FiltersFuzz, TakesAWholeFilter) {
  constexpr std::string_view kText = "\1\7changed\1\1\5\1\1\6";
  EXPECT_TRUE(fuzz_filters(std::as_bytes(std::span(kText))));
  EXPECT_TRUE(fuzz_filters(std::as_bytes(std::span(kText.substr(0, 9)))));
  EXPECT_FALSE(fuzz_filters(std::as_bytes(std::span(kText.substr(0, 8)))));
}

TEST_F(FiltersFuzz, AnythingIsReadAsAFilterThatIsTheSameWhenPackedOrRefused) {
  run_with_random_input(fuzz_filters, kInputBytes, 2s);
}

}  // namespace
}  // namespace sluice::test
