// A sleeper's way to its wake-up: what it costs in system calls, and that the wake-up which a light barrier
// can miss is made up for.
#include <gtest/gtest.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <thread>

#include "ring_pair.hpp"
#include "watchdog.hpp"

namespace {

constexpr long kFutexWaitv = 449;

std::atomic<std::uint64_t> membarriers{0};
std::atomic<std::uint64_t> sleeps{0};

}  // namespace

/// Stands before the C library's function, and counts.
extern "C" long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_membarrier && arguments[0] == MEMBARRIER_CMD_GLOBAL_EXPEDITED) ++membarriers;
  if (number == kFutexWaitv) ++sleeps;
  register long r10 asm("r10") = arguments[3];
  register long r8 asm("r8") = arguments[4];
  register long r9 asm("r9") = arguments[5];
  long result = number;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

namespace sluice::ring::testing {
namespace {

using namespace std::chrono_literals;

class AnnouncedSleeps : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!register_barrier_target()) GTEST_SKIP() << "this kernel has no expedited global membarrier";
    membarriers = 0;
    sleeps = 0;
  }

  static PairOptions options() {
    return {.capacity = 4096,
            .features = kFeatureBarrierTarget | kFeatureBarrierSleeper,
            .wait = {.strategy = WaitStrategy::sleep}};
  }

  /// A consumer that waits for one record after another, on a thread of its own, until it has `count`.
  void consume(Consumer& consumer, int count) {
    Record record;
    for (int i = 0; i < count; ++i) {
      while (consumer.try_read(record) == Status::would_block)
        ASSERT_EQ(consumer.wait_for_record(deadline_in(60s)), Status::ok);
      consumer.release();
    }
  }

  static void post(Producer& producer) {
    const std::uint64_t word = 1;
    while (producer.try_post(std::as_bytes(std::span(&word, 1))) == Status::would_block)
      ASSERT_EQ(producer.wait_for_room(sizeof word, deadline_in(60s)), Status::ok);
  }

  /// Until the other thread has begun its sleep number `count`.
  static void wait_for_sleep(std::uint64_t count) {
    while (sleeps < count) std::this_thread::yield();
  }

  const test::Watchdog watchdog_{120s, "sleeps and their wake-ups"};
};

TEST_F(AnnouncedSleeps, CostAnIdleSideOneMembarrierAndTwoSleeps) {
  const RingPair pair(options());
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  EXPECT_EQ(consumer->wait_for_record(deadline_in(300ms)), Status::timed_out);
  EXPECT_EQ(membarriers, 1U);
  EXPECT_EQ(sleeps, 2U);
}

TEST_F(AnnouncedSleeps, InterruptNobodyIfTheyAreOverWithinAMillisecond) {
  const RingPair pair(options());
  const auto consumer = pair.consumer();
  EXPECT_EQ(consumer->wait_for_record(deadline_in(500us)), Status::timed_out);
  EXPECT_EQ(membarriers, 0U);
}

TEST_F(AnnouncedSleeps, NeedNoMembarrierOnceThePublisherHasFoundASleeper) {
  const RingPair pair(options());
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  std::thread reader([&] { consume(*consumer, 20); });
  std::uint64_t after_first = 0;
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(5ms);  // far longer than a sleep that isn't sure
    if (i == 1) after_first = membarriers;
    post(*producer);
    while (producer->tail() != consumer->released()) std::this_thread::yield();
  }
  reader.join();
  EXPECT_LE(after_first, 1U);
  EXPECT_EQ(membarriers, after_first);
}

TEST_F(AnnouncedSleeps, AreWokenAfterAThousandPublicationsThatFoundNobody) {
  const RingPair pair(options());
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  for (int round = 0; round < 3; ++round) {
    sleeps = 0;
    std::thread reader([&] { consume(*consumer, 1); });
    wait_for_sleep(1);
    post(*producer);
    reader.join();
    // Nobody sleeps here: the producer's barrier becomes light, and then the next sleeper isn't sure.
    for (int i = 0; i < 1500; ++i) {
      post(*producer);
      consume(*consumer, 1);
    }
    membarriers = 0;
    std::thread late_reader([&] { consume(*consumer, 1); });
    while (membarriers == 0) std::this_thread::yield();
    std::this_thread::sleep_for(2ms);
    post(*producer);
    late_reader.join();
  }
}

// What a publisher does whose store of the tail leaves its CPU only after it has looked at the wait position:
// it sees nobody, and wakes nobody.
TEST_F(AnnouncedSleeps, EndByThemselvesIfTheWakeUpWasLostToALightBarrier) {
  int lost = 0;
  for (int attempt = 0; attempt < 200 && lost < 5; ++attempt) {
    membarriers = 0;
    sleeps = 0;
    const RingPair pair(options());
    const auto producer = pair.producer();
    const auto consumer = pair.consumer();
    std::thread reader([&] { consume(*consumer, 1); });
    wait_for_sleep(1);
    const auto until = std::chrono::steady_clock::now() + 200us;
    while (std::chrono::steady_clock::now() < until) {
    }
    ControlPage& control = *pair.a().control;
    std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(pair.a().data))
        .store(make_header(0, 1), std::memory_order_release);
    control.tail.tail_sequence.store(2, std::memory_order_relaxed);
    control.tail.tail.store(record_bytes(0), std::memory_order_release);
    full_barrier();
    // Too late: the sleeper's membarrier has let such a store arrive before its last look.
    const bool in_time = membarriers == 0;
    if (!in_time) ::syscall(SYS_futex, &control.tail.tail, 1, 1, nullptr, nullptr, 0);
    reader.join();
    if (in_time) ++lost;
  }
  EXPECT_GE(lost, 1) << "this machine never let the store come within the bound";
}

}  // namespace
}  // namespace sluice::ring::testing
