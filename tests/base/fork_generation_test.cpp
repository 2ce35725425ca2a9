#include "sluice/base/detail/fork_generation.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using base::fork_generation;

class ForkGeneration : public ::testing::Test {
  Watchdog watchdog_{std::chrono::seconds(30), "ForkGeneration"};
};

TEST_F(ForkGeneration, StaysTheSameInOneProcess) {
  const auto generation = base::fork_generation();
  EXPECT_NE(generation, 0U);
  EXPECT_EQ(base::fork_generation(), generation);
  std::thread([&] { EXPECT_EQ(base::fork_generation(), generation); }).join();
}

TEST_F(ForkGeneration, DiffersInEveryDescendant) {
  const auto generation = base::fork_generation();
  ChildProcess child([generation] {
    const auto in_child = base::fork_generation();
    EXPECT_NE(in_child, generation);
    ChildProcess grandchild([generation, in_child] {
      EXPECT_NE(base::fork_generation(), generation);
      EXPECT_NE(base::fork_generation(), in_child);
    });
    const auto status = grandchild.wait_for(std::chrono::seconds(10));
    EXPECT_TRUE(status && status->ok());
    EXPECT_EQ(base::fork_generation(), in_child);
  });
  const auto status = child.wait_for(std::chrono::seconds(20));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  EXPECT_EQ(base::fork_generation(), generation);
}

TEST_F(ForkGeneration, IsOneNumberForAllThreadsThatAskFirst) {
  ASSERT_NE(base::fork_generation(), 0U);
  ChildProcess child([] {
    std::vector<std::uint64_t> seen(8);
    std::vector<std::thread> threads;
    threads.reserve(seen.size());
    for (auto& place : seen) threads.emplace_back([&place] { place = base::fork_generation(); });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 1U);
  });
  const auto status = child.wait_for(std::chrono::seconds(20));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

}  // namespace
}  // namespace sluice::test
