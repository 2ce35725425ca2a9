#include "biased_mutex.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <thread>
#include <vector>

#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::BiasedLock;
using ipc::BiasedMutex;
using ipc::Party;

class BiasedMutexes : public ::testing::Test {
 protected:
  BiasedMutexes() { mutex_.join(Party::sender); }

  const Watchdog watchdog_{60s, "biased mutexes"};
  BiasedMutex mutex_;
};

TEST_F(BiasedMutexes, KeepTwoPartiesApartWheneverTheSecondComesAndGoes) {
  std::uint64_t count = 0;
  std::atomic<std::uint64_t> seen{0};
  constexpr std::uint64_t kEach = 2000;
  constexpr unsigned kRounds = 300;
  for (unsigned round = 0; round < kRounds; ++round) {
    seen = 0;
    std::thread owner([&] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const BiasedLock lock(mutex_, Party::sender);
        ++count;
        seen.store(i + 1, std::memory_order_relaxed);
      }
    });
    // The other one comes at another moment each round, and finds the owner inside or outside.
    while (seen.load(std::memory_order_relaxed) < (round * std::uint64_t{37}) % kEach) {
    }
    const Party second = round % 2 == 0 ? Party::receiver : Party::other;
    if (second == Party::receiver) mutex_.join(second);
    for (std::uint64_t i = 0; i < kEach; ++i) {
      const BiasedLock lock(mutex_, second);
      ++count;
    }
    if (second == Party::receiver) mutex_.leave(second);
    owner.join();
    ASSERT_EQ(count, 2 * kEach * (round + 1)) << "round " << round;
  }
}

TEST_F(BiasedMutexes, BelongToWhoeverIsLeft) {
  const auto slow_locks_of = [&](Party party) {
    const std::uint64_t before = mutex_.slow_locks();
    for (int i = 0; i < 100; ++i) const BiasedLock lock(mutex_, party);
    return mutex_.slow_locks() - before;
  };
  if (!ring::register_barrier_target()) GTEST_SKIP() << "this kernel has no membarrier";
  EXPECT_EQ(slow_locks_of(Party::sender), 1U);
  mutex_.join(Party::receiver);
  EXPECT_EQ(slow_locks_of(Party::receiver), 100U);
  EXPECT_EQ(slow_locks_of(Party::sender), 100U);
  mutex_.leave(Party::sender);
  EXPECT_EQ(slow_locks_of(Party::receiver), 1U);
  EXPECT_EQ(slow_locks_of(Party::receiver), 0U);
  EXPECT_EQ(slow_locks_of(Party::other), 100U);
}

TEST_F(BiasedMutexes, LetAnotherThreadInWhileTheOwnerIsAway) {
  { const BiasedLock lock(mutex_, Party::sender); }
  { const BiasedLock lock(mutex_, Party::sender); }
  bool entered = false;
  std::thread([&] {
    const BiasedLock lock(mutex_, Party::other);
    entered = true;
  }).join();
  const BiasedLock lock(mutex_, Party::sender);
  EXPECT_TRUE(entered);
}

TEST_F(BiasedMutexes, KeepAnotherThreadWaitingWhileTheOwnerIsInside) {
  { const BiasedLock lock(mutex_, Party::sender); }
  mutex_.lock(Party::sender);
  std::atomic<bool> entered{false};
  std::thread other([&] {
    const BiasedLock lock(mutex_, Party::receiver);
    entered = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(entered);
  mutex_.unlock(Party::sender);
  other.join();
  EXPECT_TRUE(entered);
}

TEST_F(BiasedMutexes, WorkWithConditionsAcrossTheChange) {
  for (int round = 0; round < 200; ++round) {
    std::condition_variable_any changed;
    int turn = 0;
    const auto play = [&](int me) {
      BiasedLock lock(mutex_, me == 0 ? Party::sender : Party::receiver);
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

TEST_F(BiasedMutexes, KeepManyThreadsApart) {
  std::uint64_t count = 0;
  std::vector<std::thread> threads;
  for (const Party party : {Party::sender, Party::receiver, Party::other, Party::other}) {
    threads.emplace_back([&, party] {
      for (int k = 0; k < 20'000; ++k) {
        const BiasedLock lock(mutex_, party);
        ++count;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count, 80'000U);
}

}  // namespace
}  // namespace sluice::test
