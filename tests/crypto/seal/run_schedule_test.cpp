// What a thread of a transfer is given next, and what follows a failure.
#include "run_schedule.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::crypto::test {
namespace {

// What a thread would be given now, one after the other, until it would have to wait.
void expect_next(RunSchedule& schedule, Step step, std::uint64_t run) {
  const auto task = schedule.next();
  EXPECT_EQ(task.step, step);
  EXPECT_EQ(task.run, run);
}

void fail_with(RunSchedule& schedule, const Task& task, const char* what) {
  try {
    throw std::runtime_error(what);
  } catch (...) {
    schedule.fail(task);
  }
}

TEST(RunSchedule, DeliversAndCiphersBeforeItReads) {
  RunSchedule schedule(1, 3);
  for (const std::uint64_t run : {0U, 1U, 2U}) {
    expect_next(schedule, Step::read, run);
    schedule.done({Step::read, run}, run == 2);
    expect_next(schedule, Step::cipher, run);
    schedule.done({Step::cipher, run});
    expect_next(schedule, Step::deliver, run);
    schedule.done({Step::deliver, run});
  }
  expect_next(schedule, Step::none, 0);
}

TEST(RunSchedule, LetsAFastThreadGoOnWhileASlowOneCiphers) {
  RunSchedule schedule(2, 4);
  expect_next(schedule, Step::read, 0);
  schedule.done({Step::read, 0});
  expect_next(schedule, Step::cipher, 0);  // for long
  for (const std::uint64_t run : {1U, 2U, 3U}) {
    expect_next(schedule, Step::read, run);
    schedule.done({Step::read, run});
    expect_next(schedule, Step::cipher, run);
    schedule.done({Step::cipher, run});
  }
  schedule.done({Step::cipher, 0});
  for (const std::uint64_t run : {0U, 1U, 2U, 3U}) {
    expect_next(schedule, Step::deliver, run);
    schedule.done({Step::deliver, run});
  }
}

TEST(RunSchedule, KeepsItsInvariantsWithManyThreads) {
  constexpr unsigned kWorkers = 2;
  constexpr std::uint64_t kRuns = 2000;
  constexpr std::uint64_t kPlaces = 4;
  for (const bool polls : {false, true}) {
    RunSchedule schedule(kWorkers, kPlaces);
    if (polls) schedule.poll_before_sleeping();
    std::atomic<unsigned> ciphering = 0;
    std::atomic<std::uint64_t> delivered = 0;
    std::uint64_t read = 0;  // guarded by the schedule alone
    std::vector<int> places(kPlaces);
    const auto work = [&] {
      for (Task task; (task = schedule.next()).step != Step::none;) {
        int& place = places[task.run % kPlaces];
        if (task.step == Step::read) {
          EXPECT_EQ(task.run, read++);
          EXPECT_LT(task.run, delivered + kPlaces);
          place = 1;
        } else if (task.step == Step::cipher) {
          EXPECT_LE(++ciphering, kWorkers);
          std::this_thread::yield();
          place *= 2;
          --ciphering;
        } else {
          EXPECT_EQ(task.run, delivered++);
          EXPECT_EQ(std::exchange(place, 0), 2);
        }
        schedule.done(task, task.run == kRuns - 1);
      }
    };
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) threads.emplace_back(work);
    }
    EXPECT_EQ(delivered, kRuns);
  }
}

TEST(RunSchedule, DeliversWhatComesBeforeTheEarliestFailureAndKeepsThatOne) {
  RunSchedule schedule(4, 6);
  for (const std::uint64_t run : {0U, 1U, 2U, 3U}) {
    expect_next(schedule, Step::read, run);
    schedule.done({Step::read, run});
    expect_next(schedule, Step::cipher, run);
  }
  fail_with(schedule, {}, "no thread");
  fail_with(schedule, {Step::cipher, 3}, "run 3");
  fail_with(schedule, {Step::cipher, 1}, "run 1");
  fail_with(schedule, {Step::cipher, 2}, "run 2");
  schedule.done({Step::cipher, 0});
  expect_next(schedule, Step::deliver, 0);
  schedule.done({Step::deliver, 0});
  expect_next(schedule, Step::none, 0);
  try {
    schedule.rethrow();
    FAIL();
  } catch (const std::runtime_error& failure) {
    EXPECT_STREQ(failure.what(), "run 1");
  }
}

TEST(RunSchedule, CiphersNothingBehindAFailedRun) {
  RunSchedule schedule(2, 4);
  expect_next(schedule, Step::read, 0);
  schedule.done({Step::read, 0});
  expect_next(schedule, Step::cipher, 0);
  expect_next(schedule, Step::read, 1);
  schedule.done({Step::read, 1});
  fail_with(schedule, {Step::cipher, 0}, "run 0");
  expect_next(schedule, Step::none, 0);
}

TEST(RunSchedule, DeliversWhatWasReadWhenAThreadFailsWithoutATask) {
  RunSchedule schedule(2, 4);
  expect_next(schedule, Step::read, 0);
  schedule.done({Step::read, 0});
  fail_with(schedule, {}, "no thread");
  expect_next(schedule, Step::cipher, 0);
  schedule.done({Step::cipher, 0});
  expect_next(schedule, Step::deliver, 0);
  schedule.done({Step::deliver, 0});
  expect_next(schedule, Step::none, 0);
  EXPECT_THROW(schedule.rethrow(), std::runtime_error);
}

TEST(RunSchedule, EndsEveryThreadAfterAFailedRead) {
  RunSchedule schedule(2, 4);
  expect_next(schedule, Step::read, 0);
  schedule.done({Step::read, 0});
  expect_next(schedule, Step::cipher, 0);
  expect_next(schedule, Step::read, 1);
  std::jthread waiting([&] {
    expect_next(schedule, Step::deliver, 0);
    schedule.done({Step::deliver, 0});
    expect_next(schedule, Step::none, 0);
  });
  fail_with(schedule, {Step::read, 1}, "the cable was pulled");
  schedule.done({Step::cipher, 0});
  waiting.join();
  expect_next(schedule, Step::none, 0);
}

}  // namespace
}  // namespace sluice::crypto::test
