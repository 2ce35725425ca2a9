// What a program that uses a port writes first: text, values, run(), wait_closed(); and ports, messages and
// claims that have nothing behind them.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/ipc.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::throws;

struct Tick {
  std::uint64_t time = 0;
  double price = 0;

  bool operator==(const Tick&) const = default;
};

/// Not default-constructible, and a value all the same.
struct Id {
  explicit Id(std::uint32_t number) : value(number) {}
  std::uint32_t value;
};

TEST(FrontDoor, PostsTextOfEveryKind) {
  auto [a, b] = make_port_pair();
  const std::string text = "a string";
  const char* const c_string = "a C string";
  ASSERT_EQ(a.post_message("a literal"), Status::ok);
  ASSERT_EQ(a.post_message(text), Status::ok);
  ASSERT_EQ(a.post_message(c_string), Status::ok);
  ASSERT_EQ(a.post_message(std::string_view("a view, cut").substr(0, 6)), Status::ok);
  for (const char* const expected : {"a literal", "a string", "a C string", "a view"})
    EXPECT_EQ(b.receive().text(), expected);
}

TEST(FrontDoor, PostsBytesOfEveryKind) {
  auto [a, b] = make_port_pair();
  std::vector<std::byte> vector{std::byte{'v'}};
  const std::array<std::byte, 2> array{std::byte{'a'}, std::byte{'b'}};
  ASSERT_EQ(a.post_message(vector), Status::ok);
  ASSERT_EQ(a.post_message(array), Status::ok);
  ASSERT_EQ(a.post_message(std::span(vector)), Status::ok);
  ASSERT_EQ(a.post_message(std::as_bytes(std::span("x", 1))), Status::ok);
  ASSERT_EQ(a.post_message({}), Status::ok);
  for (const char* const expected : {"v", "ab", "v", "x", ""}) EXPECT_EQ(b.receive().text(), expected);
}

TEST(FrontDoor, TakesTextInEveryPostingCall) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.try_post_message("try"), Status::ok);
  ASSERT_EQ(a.post_message_for("for", 1s), Status::ok);
  ASSERT_EQ(a.post_message_until("until", deadline_in(1s)), Status::ok);
  ASSERT_EQ(a.append_message("append"), Status::ok);
  a.publish();
  for (const char* const expected : {"try", "for", "until", "append"})
    EXPECT_EQ(b.receive().text(), expected);
}

TEST(FrontDoor, PostsValuesAndReadsThemAgain) {
  auto [a, b] = make_port_pair();
  const Tick tick{.time = 7, .price = 101.5};
  ASSERT_EQ(post(a, tick), Status::ok);
  ASSERT_EQ(post(a, Id(42)), Status::ok);
  ASSERT_EQ(post(a, std::array<int, 3>{1, 2, 3}), Status::ok);
  EXPECT_EQ(b.receive().as<Tick>(), tick);
  const std::optional<Id> id = b.receive().as<Id>();
  ASSERT_TRUE(id);
  EXPECT_EQ(id->value, 42U);
  EXPECT_EQ((b.receive().as<std::array<int, 3>>()), (std::array<int, 3>{1, 2, 3}));
}

TEST(FrontDoor, GivesNoValueOfAnotherSize) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message("fifteen letters"), Status::ok);
  ASSERT_EQ(a.post_message("seventeen letters"), Status::ok);
  ASSERT_EQ(a.post_message("sixteen  letters"), Status::ok);
  EXPECT_FALSE(b.receive().as<Tick>());
  EXPECT_FALSE(b.receive().as<Tick>());
  EXPECT_TRUE(b.receive().as<Tick>());
  EXPECT_FALSE(b.try_receive().as<Tick>()) << "there is no message";
}

TEST(FrontDoor, AlignsPayloadsToEightBytes) {
  auto [a, b] = make_port_pair();
  for (std::size_t size = 0; size < 32; ++size) {
    Claim claim = a.claim(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(claim.bytes().data()) % 8, 0U) << size;
    ASSERT_EQ(claim.commit(), Status::ok);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.receive().bytes().data()) % 8, 0U) << size;
  }
}

TEST(FrontDoor, PostsValuesThroughAnyKindOfPort) {
  auto [a, b] = make_port_pair();
  AnyPort sender(std::move(a));
  const Tick tick{.time = 1, .price = 2};
  ASSERT_EQ(post(sender, tick), Status::ok);
  ASSERT_EQ(sender.post_message("text"), Status::ok);
  EXPECT_EQ(b.receive().as<Tick>(), tick);
  EXPECT_EQ(b.receive().text(), "text");
}

TEST(FrontDoor, HandlersTakeTextOrBytesAndMayOwnWhatCannotBeCopied) {
  auto [a, b] = make_port_pair();
  std::vector<std::string> got;
  auto owned = std::make_unique<std::string>("first: ");
  b.on_message([&, &port = b, owned = std::move(owned)](std::string_view text) {
    got.push_back(*owned + std::string(text));
    port.on_message([&](std::span<const std::byte> bytes) { got.push_back(std::to_string(bytes.size())); });
  });
  b.on_close([&, kept = std::make_unique<int>(0)](Status reason) { got.emplace_back(to_string(reason)); });
  ASSERT_EQ(a.post_message("one"), Status::ok);
  ASSERT_EQ(a.post_message("three"), Status::ok);
  a.close();
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_EQ(got, (std::vector<std::string>{"first: one", "5", "closed"}));
}

TEST(FrontDoor, AHandlerThatWasReplacedFromInsideCanBeSetAgain) {
  auto [a, b] = make_port_pair();
  std::vector<std::string> got;
  MessageHandler first;
  b.on_message([&, &port = b, name = std::make_unique<std::string>("first")](std::string_view) {
    got.push_back(*name);
    first = port.on_message([&](std::string_view) {
      got.emplace_back("second");
      port.on_message(std::move(first));
    });
  });
  for (int i = 0; i < 3; ++i) ASSERT_EQ(a.post_message({}), Status::ok);
  a.close();
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_EQ(got, (std::vector<std::string>{"first", "second", "first"}));
}

TEST(Run, CallsTheHandlersOnThisThreadAndReturnsTheReason) {
  const test::Watchdog watchdog(60s, "run()");
  auto [a, b] = make_port_pair();
  std::vector<std::thread::id> threads;
  b.on_message([&, &port = b](std::string_view text) {
    threads.push_back(std::this_thread::get_id());
    if (text == "last") port.close();
  });
  b.on_close([&](Status) { threads.push_back(std::this_thread::get_id()); });
  std::thread peer([&a = a] {
    EXPECT_EQ(a.post_message("first"), Status::ok);
    std::this_thread::sleep_for(20ms);  // right in any case; this lets the other wait
    EXPECT_EQ(a.post_message("last"), Status::ok);
  });
  EXPECT_EQ(b.run(), Status::closed);
  peer.join();
  EXPECT_EQ(threads, std::vector<std::thread::id>(3, std::this_thread::get_id()));
  EXPECT_EQ(b.run(), Status::closed) << "it has ended";
}

TEST(Run, PassesOnWhatAHandlerThrowsAndCanGoOn) {
  auto [a, b] = make_port_pair();
  std::vector<std::string> got;
  b.on_message([&](std::string_view text) {
    got.emplace_back(text);
    if (text == "bad") throw std::runtime_error("a bad message");
  });
  ASSERT_EQ(a.post_message("bad"), Status::ok);
  ASSERT_EQ(a.post_message("good"), Status::ok);
  a.close();
  EXPECT_THROW((void)b.run(), std::runtime_error);
  EXPECT_FALSE(b.can_receive()) << "messages go to handlers from now on";
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_EQ(got, (std::vector<std::string>{"bad", "good"}));
}

TEST(Run, LetsAHandlerDestroyThePort) {
  auto [a, other] = make_port_pair();
  auto b = std::make_unique<Port>(std::move(other));
  int called = 0;
  b->on_message([&](std::string_view) {
    ++called;
    b.reset();
  });
  b->on_close([&](Status) { ++called; });
  ASSERT_EQ(a.post_message("first"), Status::ok);
  ASSERT_EQ(a.post_message("second"), Status::ok);
  EXPECT_EQ(b->run(), Status::closed);
  EXPECT_EQ(called, 1);
  EXPECT_EQ(a.receive().status(), Status::closed);
}

TEST(Run, IsRefusedWhileAnotherThreadDelivers) {
  auto [a, b] = make_port_pair();
  EXPECT_TRUE(b.can_receive());
  b.start();
  EXPECT_FALSE(b.can_receive());
  EXPECT_TRUE(throws(errc::misuse, "run()", [&port = b] { (void)port.run(); }));
}

TEST(Run, IsRefusedUnderAStrategyThatNeverWaits) {
  auto [a, b] = make_port_pair({}, {.wait = {.strategy = WaitStrategy::non_blocking}});
  EXPECT_TRUE(throws(errc::misuse, "run()", [&port = b] { (void)port.run(); }));
}

TEST(WaitClosed, WaitsForTheLastHandlerOfAStartedPort) {
  const test::Watchdog watchdog(60s, "wait_closed()");
  auto [a, b] = make_port_pair();
  std::atomic<int> called = 0;
  const auto slowly = [&] {
    std::this_thread::sleep_for(20ms);  // right in any case; this lets wait_closed() come too early
    ++called;
  };
  b.on_message([&](std::string_view) { slowly(); });
  b.on_close([&](Status) { slowly(); });
  ASSERT_EQ(a.post_message({}), Status::ok);
  a.close();
  b.start();
  EXPECT_EQ(b.wait_closed(), Status::closed);
  EXPECT_EQ(called, 2);
}

TEST(WaitClosed, TellsThatAPortWithoutHandlersHasEnded) {
  const test::Watchdog watchdog(60s, "wait_closed()");
  auto [a, b] = make_port_pair();
  EXPECT_EQ(b.wait_closed(deadline_in(1ms)), Status::timed_out);
  ASSERT_EQ(a.post_message("left"), Status::ok);
  std::thread closing([&a = a] {
    std::this_thread::sleep_for(20ms);  // right in any case; this lets the other wait
    a.close();
  });
  EXPECT_EQ(b.wait_closed(), Status::closed);
  closing.join();
  EXPECT_EQ(a.wait_closed(), Status::closed) << "closed here";
  EXPECT_EQ(b.receive().text(), "left");
}

TEST(WaitClosed, IsRefusedInsideAHandler) {
  auto [a, b] = make_port_pair();
  bool refused = false;
  b.on_message([&, &port = b](std::string_view) {
    refused = throws(errc::misuse, "wait_closed()", [&] { (void)port.wait_closed(); });
  });
  ASSERT_EQ(a.post_message({}), Status::ok);
  a.close();
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_TRUE(refused);
}

void expect_closed(Port& port) {
  EXPECT_EQ(port.post_message("text"), Status::closed);
  EXPECT_EQ(port.try_post_message("text"), Status::closed);
  EXPECT_EQ(port.post_message_for(std::string(100'000, 'x'), 1ms), Status::closed);
  EXPECT_EQ(port.post_parts_until({}, {}, kNoDeadline), Status::closed);
  EXPECT_EQ(port.append_message("text"), Status::closed);
  port.publish();
  EXPECT_EQ(port.claim(8).status(), Status::closed);
  EXPECT_EQ(port.claim(8).commit(), Status::closed);
  EXPECT_EQ(port.try_claim(8).status(), Status::closed);
  EXPECT_EQ(port.wait_until_consumed(), Status::closed);
  EXPECT_EQ(port.receive().status(), Status::closed);
  EXPECT_EQ(port.try_receive().status(), Status::closed);
  EXPECT_EQ(port.receive_for(1ms).status(), Status::closed);
  EXPECT_EQ(port.replay_from(1), Status::closed);
  EXPECT_EQ(port.history().seek(5), Status::would_block);
  EXPECT_EQ(port.sent_history().seek(5), Status::would_block);
  EXPECT_FALSE(port.on_message([](std::string_view) {}));
  EXPECT_FALSE(port.on_error([](const PortError&) {}));
  EXPECT_FALSE(port.on_close([](Status) {}));
  port.start();
  EXPECT_EQ(port.run(), Status::closed);
  EXPECT_EQ(port.wait_closed(), Status::closed);
  EXPECT_FALSE(port.is_open());
  EXPECT_EQ(port.failure_text(), "");
  EXPECT_EQ(port.peer().pid, 0);
  EXPECT_FALSE(port.session());
  EXPECT_EQ(port.statistics().sleeps, 0U);
  port.close();
}

TEST(ClosedPort, IsWhatADefaultConstructedPortIs) {
  Port port;
  expect_closed(port);
  auto [a, b] = make_port_pair();
  port = std::move(a);
  ASSERT_EQ(port.post_message("now open"), Status::ok);
  EXPECT_EQ(b.receive().text(), "now open");
}

TEST(ClosedPort, IsWhatAMoveLeavesBehind) {
  auto [a, b] = make_port_pair();
  Port first = std::move(a);
  expect_closed(a);  // NOLINT(bugprone-use-after-move): that is the point
  Port second;
  second = std::move(first);
  expect_closed(first);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.post_message("still open"), Status::ok);
  EXPECT_EQ(b.receive().text(), "still open");
}

TEST(ClosedPort, IsSharedByThreadsWithoutARace) {
  const test::Watchdog watchdog(60s, "closed ports in many threads");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      Port port;
      for (int round = 0; round < 100; ++round) expect_closed(port);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ClosedPort, StandsBehindTheOtherKindsOfPortToo) {
  AnyPort any;
  NativePort native;
  const auto closed = [](auto& port) {
    EXPECT_EQ(port.post_message("text"), Status::closed);
    EXPECT_EQ(port.post_parts_until({}, {}, kNoDeadline), Status::closed);
    EXPECT_EQ(port.try_receive().status(), Status::closed);
    EXPECT_EQ(port.receive_until(kNoDeadline).status(), Status::closed);
    EXPECT_FALSE(port.on_message([](std::string_view) {}));
    port.start();
    port.close();
    EXPECT_FALSE(port.is_open());
    EXPECT_EQ(port.failure_text(), "");
  };
  closed(any);
  closed(native);
  auto [a, b] = make_port_pair();
  any = AnyPort(std::move(a));
  AnyPort moved = std::move(any);
  closed(any);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(moved.post_message("open"), Status::ok);
}

TEST(ClosedMessage, IsWhatAMoveLeavesBehind) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message("text"), Status::ok);
  Message first = b.receive();
  Message second = std::move(first);
  EXPECT_EQ(second.text(), "text");
  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_EQ(first.status(), Status::closed);
  EXPECT_EQ(first.text(), "");
  EXPECT_FALSE(first.replayed());
  first.release();
  EXPECT_EQ(a.wait_until_consumed(deadline_in(0s)), Status::timed_out) << "the second one holds it";
  first = std::move(second);
  EXPECT_EQ(second.status(), Status::closed);
  // NOLINTEND(bugprone-use-after-move)
  EXPECT_EQ(first.text(), "text");
  first.release();
  EXPECT_EQ(a.wait_until_consumed(deadline_in(20s)), Status::ok);
  EXPECT_EQ(Message().status(), Status::closed);
}

TEST(ClosedClaim, IsWhatAMoveLeavesBehind) {
  auto [a, b] = make_port_pair();
  Claim first = a.claim(4);
  Claim second = std::move(first);
  EXPECT_EQ(first.commit(), Status::closed);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.commit(), Status::ok);
  EXPECT_EQ(Claim().commit(), Status::closed);
  EXPECT_EQ(b.receive().bytes().size(), 4U);
}

// Two threads that wait in one direction are noticed in every build.
TEST(OneThreadRuleDeathTest, EndsAProgramInWhichTwoThreadsReceive) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        auto ports = make_port_pair();
        std::thread first([&] { (void)ports.second.receive_for(10s); });
        std::this_thread::sleep_for(200ms);
        (void)ports.second.receive_for(10s);
        first.join();
      },
      "two threads receive on one port at the same time");
}

TEST(OneThreadRuleDeathTest, EndsAProgramInWhichTwoThreadsSend) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        auto ports = make_port_pair({.ring_bytes = 4096});
        const std::string large(2000, 'x');
        const auto fill = [&] {
          while (ports.first.post_message_for(large, 10s) == Status::ok) {
          }
        };
        std::thread first(fill);
        std::this_thread::sleep_for(200ms);
        fill();
        first.join();
      },
      "two threads send on one port at the same time");
}

}  // namespace
}  // namespace sluice
