// A handler that one thread calls and any thread replaces.
#include "handler_slot.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "sluice/base/detail/move_only_function.hpp"
#include "watchdog.hpp"

namespace sluice::ipc {
namespace {

using namespace std::chrono_literals;

using Handler = base::MoveOnlyFunction<void(int)>;
using Slot = HandlerSlot<Handler>;

TEST(HandlerSlot, CallsWhatWasSetLastAndSaysWhetherThereWasAnything) {
  Slot slot;
  EXPECT_TRUE(slot.empty());
  EXPECT_FALSE(slot.call(1));
  std::vector<int> got;
  EXPECT_FALSE(slot.exchange([&](int number) { got.push_back(number); }));
  EXPECT_FALSE(slot.empty());
  EXPECT_TRUE(slot.call(2));
  EXPECT_TRUE(slot.exchange([&](int number) { got.push_back(-number); }));
  EXPECT_TRUE(slot.call(3));
  EXPECT_TRUE(slot.exchange({}));
  EXPECT_FALSE(slot.call(4));
  EXPECT_EQ(got, (std::vector<int>{2, -3}));
}

TEST(HandlerSlot, GivesTheReplacedHandlerBackToBeCalledOrSetAgain) {
  Slot slot;
  int sum = 0;
  slot.exchange([&, factor = std::make_unique<int>(10)](int number) { sum += *factor * number; });
  Handler old = slot.exchange({});
  old(1);
  EXPECT_EQ(sum, 10);
  slot.exchange(std::move(old));
  slot.call(2);
  EXPECT_EQ(sum, 30);
}

TEST(HandlerSlot, StepsThroughAHandlerUntilTheStepHasEnoughOrTheHandlerIsTakenAway) {
  Slot slot;
  std::vector<std::string> got;
  slot.exchange([&](int number) {
    got.push_back("first " + std::to_string(number));
    if (number == 2) slot.exchange([&](int later) { got.push_back("second " + std::to_string(later)); });
  });
  int steps = 0;
  slot.call_repeatedly([&](Handler& handler) {
    handler(++steps);
    return steps < 4;
  });
  EXPECT_EQ(got, (std::vector<std::string>{"first 1", "first 2", "second 3", "second 4"}));
  slot.call_repeatedly([&](Handler&) {
    ++steps;
    slot.exchange({});
    return true;
  });
  EXPECT_EQ(steps, 5);
}

TEST(HandlerSlot, LetsAHandlerReplaceItselfAndKeepsItUntilItReturns) {
  Slot slot;
  auto alive = std::make_shared<int>(0);
  const std::weak_ptr<int> witness = alive;
  bool alive_inside = false;
  slot.exchange([&, alive = std::move(alive)](int) {
    slot.exchange({});
    alive_inside = !witness.expired();
    *alive = 1;  // a use after free if the handler went with its replacement
  });
  EXPECT_TRUE(slot.call(0));
  EXPECT_TRUE(alive_inside);
  EXPECT_TRUE(witness.expired()) << "kept although it has returned";
}

TEST(HandlerSlot, HandsOutAHandlerThatReplacedItselfStillCallable) {
  Slot slot;
  int sum = 0;
  Handler kept;
  slot.exchange([&, step = std::make_unique<int>(1)](int) {
    sum += *step;
    kept = slot.exchange({});
  });
  slot.call(0);
  ASSERT_TRUE(kept);
  Handler moved = std::move(kept);
  moved(0);
  EXPECT_EQ(sum, 2);
}

TEST(HandlerSlot, KeepsWhoReplacesWaitingForTheCallInFlight) {
  const test::Watchdog watchdog(60s, "replacing a handler that is being called");
  Slot slot;
  std::atomic<bool> inside = false;
  std::atomic<bool> let_go = false;
  std::atomic<bool> replaced = false;
  slot.exchange([&](int) {
    inside = true;
    while (!let_go) std::this_thread::yield();
  });
  std::thread caller([&] { slot.call(0); });
  while (!inside) std::this_thread::yield();
  std::thread replacing([&] {
    slot.exchange({});
    replaced = true;
  });
  std::this_thread::sleep_for(
      50ms);  // right in any case; this lets an exchange that doesn't wait come through
  EXPECT_FALSE(replaced);
  let_go = true;
  replacing.join();
  EXPECT_TRUE(replaced);
  caller.join();
}

TEST(HandlerSlot, PassesAnExceptionOnAndIsUsableAfterwards) {
  Slot slot;
  slot.exchange([](int number) { throw number; });
  EXPECT_THROW(slot.call(1), int);
  slot.exchange({});  // would wait for ever if the call counted as going on
  EXPECT_FALSE(slot.call(2));
}

// Every handler checks that it isn't called once exchange() has handed it back.
TEST(HandlerSlot, CallsNoHandlerAfterItsReplacement) {
  const test::Watchdog watchdog(100s, "a handler that is replaced all the time");
  Slot slot;
  std::atomic<bool> over = false;
  std::atomic<int> too_late = 0;
  std::thread caller([&] {
    while (!over) slot.call(0);
  });
  for (int round = 0; round < 2000; ++round) {
    auto replaced = std::make_unique<std::atomic<bool>>(false);
    slot.exchange([&too_late, flag = replaced.get()](int) {
      if (*flag) ++too_late;
    });
    const Handler old = slot.exchange({});
    *replaced = true;  // and freed at the end of the round: a later call would read freed memory
  }
  over = true;
  caller.join();
  EXPECT_EQ(too_late, 0);
}

}  // namespace
}  // namespace sluice::ipc
