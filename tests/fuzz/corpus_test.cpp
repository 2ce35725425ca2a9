// Every input that fuzzing once found worth keeping runs through the fuzzer's body in every build.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "places.hpp"
#include "watchdog.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

TEST(SLUICE_CORPUS_SUITE, IsTakenWithoutACrash) {
  const Watchdog watchdog(60s, "playing a corpus");
  const auto corpus = std::filesystem::path(source_dir()) / "tests/fuzz/corpus" / SLUICE_CORPUS;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    SCOPED_TRACE(entry.path().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
    ASSERT_FALSE(bytes.empty());
    const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
    EXPECT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
    ++inputs;
  }
  EXPECT_GE(inputs, 10);
}

}  // namespace
}  // namespace sluice::test
