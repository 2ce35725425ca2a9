// How long a wait polls before it sleeps, learned from how the waits before it went.
#include "sluice/ring/detail/spin_window.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

namespace sluice::ring {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr nanoseconds kLimit = 50us;

/// A wait that is over only once it sleeps. Returns how long it polled.
nanoseconds sleep_once(SpinWindow& window, nanoseconds slept) {
  const nanoseconds polled = window.begin();
  window.slept(slept, Status::ok);
  return polled;
}

/// Sleeps until the window is closed. Returns how long it polled in all.
nanoseconds close(SpinWindow& window, nanoseconds slept) {
  nanoseconds polled{};
  for (nanoseconds last = 1ns; last != 0ns; polled += last) last = sleep_once(window, slept);
  return polled;
}

TEST(SpinWindow, IsOpenAtFirstAndStaysOpenWhilePollingFinds) {
  SpinWindow window(kLimit);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(window.begin(), kLimit);
    window.found_at_once();
  }
}

TEST(SpinWindow, NeverPollsIfItsLimitIsZero) {
  SpinWindow window(0ns);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(sleep_once(window, 1us), 0ns);
}

TEST(SpinWindow, ClosesAfterPollingInVainForTwiceItsLimit) {
  SpinWindow window(kLimit);
  const nanoseconds polled = close(window, 1ms);
  EXPECT_LE(polled, 2 * kLimit);
  EXPECT_GE(polled, kLimit);
}

TEST(SpinWindow, OutlivesASleepNowAndThen) {
  SpinWindow window(kLimit);
  for (int burst = 0; burst < 100; ++burst) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_NE(window.begin(), 0ns) << "burst " << burst;
      window.found_at_once();
    }
    EXPECT_EQ(window.begin(), kLimit) << "burst " << burst;
    window.slept(10ms, Status::ok);
  }
}

TEST(SpinWindow, ClosesAtOnceIfTheCpuWasLostWhilePolling) {
  SpinWindow window(kLimit);
  window.begin();
  window.lost_cpu();
  window.found_after(20us);
  EXPECT_EQ(window.begin(), 0ns);
}

TEST(SpinWindow, SleepsAtOnceAfterAWaitInVainUntilSomethingComes) {
  SpinWindow window(kLimit);
  window.begin();
  window.slept(1s, Status::timed_out);
  EXPECT_EQ(window.begin(), 0ns);
  window.slept(1s, Status::timed_out);
  EXPECT_EQ(window.begin(), 0ns);
  window.slept(1us, Status::ok);
  EXPECT_NE(window.begin(), 0ns);
}

/// Waits until the closed window probes. Returns after how many waits, at most 100,000.
int waits_until_probe(SpinWindow& window, nanoseconds slept) {
  for (int waits = 1; waits < 100'000; ++waits) {
    if (window.begin() != 0ns) return waits;
    window.slept(slept, Status::ok);
  }
  return 100'000;
}

TEST(SpinWindow, OpensAgainIfAProbeFindsSoonerThanSleeping) {
  SpinWindow window(kLimit);
  close(window, 20us);
  EXPECT_LT(waits_until_probe(window, 20us), 100);
  window.found_after(5us);
  EXPECT_EQ(window.begin(), kLimit);
}

TEST(SpinWindow, PollsNoLongerInAProbeThanSleepingIsWorth) {
  SpinWindow window(kLimit);
  close(window, 4us);
  EXPECT_LT(waits_until_probe(window, 4us), 100);
  window.slept(4us, Status::ok);
  nanoseconds probe{};
  while (probe == 0ns) {
    probe = window.begin();
    window.slept(4us, Status::ok);
  }
  EXPECT_LE(probe, 8us);
}

TEST(SpinWindow, ProbesMoreRarelyWithEachProbeThatFails) {
  SpinWindow window(kLimit);
  close(window, 20us);
  int before = 0;
  int gap = 0;
  for (int probe = 0; probe < 6; ++probe) {
    before = std::exchange(gap, waits_until_probe(window, 20us));
    window.slept(20us, Status::ok);
    EXPECT_GT(gap, before) << "probe " << probe;
  }
  for (int probe = 0; probe < 20; ++probe) {
    gap = waits_until_probe(window, 20us);
    window.slept(20us, Status::ok);
  }
  EXPECT_LE(gap, 1024) << "but it never gives up";
}

TEST(SpinWindow, ProbesNeverWhileSleepsAreLongerThanPollingEverLasts) {
  SpinWindow window(kLimit);
  close(window, 10ms);
  EXPECT_EQ(waits_until_probe(window, 10ms), 100'000);
}

TEST(SpinWindow, ClosesIfSleepingAtOnceIsSooner) {
  SpinWindow window(kLimit);
  // Each look finds something, but late; whoever sleeps has it after 6 us.
  int waits = 0;
  for (; waits < 1000; ++waits) {
    if (window.begin() == 0ns) {
      window.slept(6us, Status::ok);
    } else {
      window.found_after(15us);
    }
  }
  int polled = 0;
  for (; waits < 2000; ++waits) {
    if (window.begin() == 0ns) {
      window.slept(6us, Status::ok);
    } else {
      window.found_after(12us);
      ++polled;
    }
  }
  EXPECT_LT(polled, 50);
}

TEST(SpinWindow, StaysOpenIfPollingFindsLateButSleepingLater) {
  SpinWindow window(kLimit);
  int polled = 0;
  for (int waits = 0; waits < 1000; ++waits) {
    if (window.begin() == 0ns) {
      window.slept(90us, Status::ok);
    } else {
      window.found_after(40us);
      ++polled;
    }
  }
  EXPECT_GT(polled, 900);
}

}  // namespace
}  // namespace sluice::ring
