#include "biased_mutex.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::BiasedMutex;

TEST(BiasedMutexes, KeepTwoThreadsApartWheneverTheSecondComes) {
  const Watchdog watchdog(60s, "biased mutexes");
  for (unsigned round = 0; round < 300; ++round) {
    BiasedMutex mutex;
    std::uint64_t count = 0;
    std::atomic<std::uint64_t> seen{0};
    constexpr std::uint64_t kEach = 2000;
    std::thread owner([&] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const std::scoped_lock lock(mutex);
        ++count;
        seen.store(i + 1, std::memory_order_relaxed);
      }
    });
    // The other one comes at another moment each round, and finds the owner inside or outside.
    while (seen.load(std::memory_order_relaxed) < (round * std::uint64_t{37}) % kEach) {
    }
    for (std::uint64_t i = 0; i < kEach; ++i) {
      const std::scoped_lock lock(mutex);
      ++count;
    }
    owner.join();
    ASSERT_EQ(count, 2 * kEach) << "round " << round;
  }
}

TEST(BiasedMutexes, LetAnotherThreadInWhileTheOwnerIsAway) {
  const Watchdog watchdog(20s, "biased mutexes");
  BiasedMutex mutex;
  mutex.lock();
  mutex.unlock();
  bool entered = false;
  std::thread([&] {
    const std::scoped_lock lock(mutex);
    entered = true;
  }).join();
  const std::scoped_lock lock(mutex);
  EXPECT_TRUE(entered);
}

TEST(BiasedMutexes, KeepAnotherThreadWaitingWhileTheOwnerIsInside) {
  const Watchdog watchdog(20s, "biased mutexes");
  BiasedMutex mutex;
  mutex.lock();
  std::atomic<bool> entered{false};
  std::thread other([&] {
    const std::scoped_lock lock(mutex);
    entered = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(entered);
  mutex.unlock();
  other.join();
  EXPECT_TRUE(entered);
}

TEST(BiasedMutexes, WorkWithConditionsAcrossTheChange) {
  const Watchdog watchdog(60s, "biased mutexes");
  for (int round = 0; round < 200; ++round) {
    BiasedMutex mutex;
    std::condition_variable_any changed;
    int turn = 0;
    const auto play = [&](int me) {
      std::unique_lock lock(mutex);
      for (int i = 0; i < 5; ++i) {
        changed.wait(lock, [&] { return turn % 2 == me; });
        ++turn;
        changed.notify_all();
      }
    };
    std::thread other(play, 1);
    play(0);
    other.join();
    ASSERT_EQ(turn, 10);
  }
}

TEST(BiasedMutexes, KeepManyThreadsApart) {
  const Watchdog watchdog(60s, "biased mutexes");
  BiasedMutex mutex;
  std::uint64_t count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 20'000; ++k) {
        const std::scoped_lock lock(mutex);
        ++count;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count, 80'000U);
}

}  // namespace
}  // namespace sluice::test
