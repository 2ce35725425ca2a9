// Handlers that throw, that come late, and that deal with each other's ports.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

[[noreturn]] void fail() {
  throw std::runtime_error("no such order");
}

/// What handlers are told; the thread that waited for the port's end reads it.
class HandlerFailure : public ::testing::Test {
 protected:
  template <typename P>
  void log_errors_of(P& port) {
    port.on_error(
        [this](const PortError& error) { add(std::string(to_string(error.status)) + ": " + error.text); });
  }
  template <typename P>
  void log_close_of(P& port) {
    port.on_close([this](Status reason) { add(std::string(to_string(reason))); });
  }
  void add(std::string line) {
    const std::scoped_lock lock(mutex_);
    lines_.push_back(std::move(line));
  }
  Lines lines() {
    const std::scoped_lock lock(mutex_);
    return lines_;
  }

  const test::Watchdog watchdog_{100s, "handlers that fail"};
  std::mutex mutex_;
  Lines lines_;
};

const std::string kTold = "a handler failed: a message handler threw: no such order";

TEST_F(HandlerFailure, IsToldToTheErrorHandlerAndTheMessageIsReleased) {
  auto [a, b] = make_port_pair();
  b.on_message([this](std::string_view text) {
    if (text == "bad") fail();
    add(std::string(text));
  });
  log_errors_of(b);
  log_close_of(b);
  b.start();
  ASSERT_EQ(a.post_message("bad"), Status::ok);
  EXPECT_EQ(a.wait_until_consumed(), Status::ok) << "released although nothing follows it";
  ASSERT_EQ(a.post_message("good"), Status::ok);
  EXPECT_EQ(a.wait_until_consumed(), Status::ok);
  a.close();
  EXPECT_EQ(b.wait_closed(), Status::closed);
  EXPECT_EQ(lines(), (Lines{kTold, "good", "closed"}));
}

TEST_F(HandlerFailure, ClosesAPortThatHasNoErrorHandler) {
  auto [a, b] = make_port_pair();
  b.on_message([](std::string_view) { fail(); });
  log_close_of(b);
  b.start();
  ASSERT_EQ(a.post_message("bad"), Status::ok);
  EXPECT_EQ(b.wait_closed(), Status::handler_failed);
  EXPECT_EQ(b.failure_text(), "a message handler threw: no such order");
  EXPECT_EQ(lines(), Lines{"a handler failed"});
  EXPECT_FALSE(b.is_open());
  EXPECT_EQ(b.post_message("late"), Status::closed);
  EXPECT_EQ(a.wait_until_consumed(), Status::closed) << "the sender isn't told that it was handled";
}

TEST_F(HandlerFailure, OfTheErrorHandlerClosesThePortToo) {
  auto [a, b] = make_port_pair();
  b.on_message([](std::string_view) { fail(); });
  b.on_error([](const PortError&) { throw 1; });
  log_close_of(b);
  b.start();
  ASSERT_EQ(a.post_message("bad"), Status::ok);
  EXPECT_EQ(b.wait_closed(), Status::handler_failed);
  EXPECT_NE(b.failure_text().find("no such order; the error handler threw: an exception"), std::string::npos)
      << b.failure_text();
  EXPECT_EQ(lines(), Lines{"a handler failed"});
}

TEST_F(HandlerFailure, OfACloseHandlerIsTheReasonUnlessItWasTaken) {
  for (const bool taken : {false, true}) {
    auto [a, b] = make_port_pair();
    if (taken) log_errors_of(b);
    b.on_close([](Status) { fail(); });
    b.start();
    a.close();
    EXPECT_EQ(b.wait_closed(), taken ? Status::closed : Status::handler_failed);
    EXPECT_EQ(b.failure_text(), "a close handler threw: no such order");
  }
  EXPECT_EQ(lines(), Lines{"a handler failed: a close handler threw: no such order"});
}

TEST_F(HandlerFailure, OfAnExecutorEndsThePort) {
  auto [a, b] = make_port_pair({}, {.executor = [](const std::function<void()>&) { fail(); }});
  b.on_message([this](std::string_view text) { add(std::string(text)); });
  log_close_of(b);
  b.start();
  ASSERT_EQ(a.post_message("never handled"), Status::ok);
  EXPECT_EQ(b.wait_closed(), Status::handler_failed);
  EXPECT_EQ(b.failure_text(), "the executor threw: no such order");
  EXPECT_EQ(a.wait_closed(), Status::closed);
  EXPECT_TRUE(lines().empty());
}

TEST_F(HandlerFailure, OfAnExecutorAtTheEndIsTheReason) {
  auto [a, b] = make_port_pair({}, {.executor = [](const std::function<void()>&) { fail(); }});
  log_close_of(b);
  b.start();
  a.close();
  EXPECT_EQ(b.wait_closed(), Status::handler_failed);
  EXPECT_EQ(b.failure_text(), "the executor threw: no such order");
  EXPECT_TRUE(lines().empty());
}

TEST_F(HandlerFailure, OfAnExecutorThatHasRunTheWorkEndsThePortToo) {
  const auto run_and_fail = [](const std::function<void()>& work) {
    work();
    fail();
  };
  auto [a, b] = make_port_pair({}, {.executor = run_and_fail});
  b.on_message([this](std::string_view text) { add(std::string(text)); });
  ASSERT_EQ(a.post_message("handled"), Status::ok);
  EXPECT_THROW((void)b.run(), std::runtime_error);
  EXPECT_EQ(lines(), Lines{"handled"});
}

TEST_F(HandlerFailure, IsPassedOnByRunFromWhereverTheHandlerRan) {
  const auto on_another_thread = [](const std::function<void()>& work) { std::thread(work).join(); };
  for (const Executor& executor : {Executor(), Executor(on_another_thread)}) {
    auto [a, b] = make_port_pair({}, {.executor = executor});
    b.on_message([](std::string_view) { fail(); });
    b.on_close([](Status) { fail(); });
    ASSERT_EQ(a.post_message("bad"), Status::ok);
    EXPECT_THROW((void)b.run(), std::runtime_error);
    EXPECT_TRUE(b.is_open());
    a.close();
    EXPECT_THROW((void)b.run(), std::runtime_error) << "of the close handler";
    EXPECT_EQ(b.run(), Status::handler_failed);
  }
}

TEST_F(HandlerFailure, IsTheSameOnPortsOverDescriptors) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  NativePort a = wrap_native_port(Descriptor(ends[0]));
  NativePort b = wrap_native_port(Descriptor(ends[1]));
  std::promise<Status> ended;
  b.on_message([](std::string_view) { fail(); });
  b.on_close([&](Status reason) { ended.set_value(reason); });
  b.start();
  ASSERT_EQ(a.post_message("bad"), Status::ok);
  EXPECT_EQ(ended.get_future().get(), Status::handler_failed);
  EXPECT_EQ(b.failure_text(), "a message handler threw: no such order");
  EXPECT_EQ(a.receive().status(), Status::closed);
}

TEST_F(HandlerFailure, AfterItsPortWasDestroyedInsideGoesNowhere) {
  auto [a, other] = make_port_pair();
  auto b = std::make_unique<Port>(std::move(other));
  log_errors_of(*b);
  log_close_of(*b);
  b->on_message([&](std::string_view) {
    b.reset();
    fail();
  });
  b->start();
  ASSERT_EQ(a.post_message("bad"), Status::ok);
  EXPECT_EQ(a.wait_closed(), Status::closed);
  EXPECT_TRUE(lines().empty());
}

class LateCloseHandler : public HandlerFailure {};

TEST_F(LateCloseHandler, IsCalledByTheCallThatSetsItUnlessAnotherWasCalled) {
  auto [a, b] = make_port_pair();
  b.start();
  a.close();
  EXPECT_EQ(b.wait_closed(), Status::closed);
  EXPECT_TRUE(lines().empty());
  log_close_of(b);
  EXPECT_EQ(lines(), Lines{"closed"});
  log_close_of(b);
  EXPECT_EQ(lines(), Lines{"closed"});
}

TEST_F(LateCloseHandler, IsCalledOnceWhenItComesTogetherWithTheEnd) {
  for (int round = 0; round < 300; ++round) {
    std::atomic<int> called = 0;
    auto [a, b] = make_port_pair();
    b.start();
    std::thread ending([&a = a] { a.close(); });
    for (int i = 0; i < round % 50; ++i) std::this_thread::yield();
    b.on_close([&](Status) { ++called; });
    ending.join();
    EXPECT_EQ(b.wait_closed(), Status::closed);
    EXPECT_EQ(called, 1);
  }
}

TEST_F(LateCloseHandler, WaitsForMessagesThatWaitForAHandler) {
  auto [a, b] = make_port_pair();
  log_close_of(b);
  b.start();
  ASSERT_EQ(a.post_message("first"), Status::ok);
  a.close();
  EXPECT_EQ(b.wait_closed(deadline_in(50ms)), Status::timed_out);
  EXPECT_TRUE(lines().empty());
  b.on_message([this](std::string_view text) { add(std::string(text)); });
  EXPECT_EQ(b.wait_closed(), Status::closed);
  EXPECT_EQ(lines(), (Lines{"first", "closed"}));

  auto [c, d] = make_port_pair();
  log_close_of(d);
  d.start();
  ASSERT_EQ(c.post_message("never handled"), Status::ok);
  d.close();
  EXPECT_EQ(d.wait_closed(), Status::closed) << "nothing waits once the port was closed here";
  EXPECT_EQ(lines(), (Lines{"first", "closed", "closed"}));
}

/// Two ports whose handlers run at the same time, each on its own thread.
class HandlersOfTwoPorts : public HandlerFailure {
 protected:
  /// `act` is what each handler does to the other's port, once both run.
  template <typename Act>
  void both_at_once(Act act) {
    for (int round = 0; round < 50; ++round) {
      std::array<Port, 2> senders;
      std::array<std::unique_ptr<Port>, 2> ports;
      std::atomic<int> inside = 0;
      std::atomic<int> done = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        auto [sender, port] = make_port_pair();
        senders.at(i) = std::move(sender);
        ports.at(i) = std::make_unique<Port>(std::move(port));
      }
      for (std::size_t i = 0; i < 2; ++i) {
        ports.at(i)->on_message([&, i](std::string_view) {
          ++inside;
          while (inside < 2) std::this_thread::yield();
          act(ports.at(1 - i));
          ++done;
        });
        ports.at(i)->start();
      }
      for (Port& sender : senders) ASSERT_EQ(sender.post_message("go"), Status::ok);
      while (done < 2) std::this_thread::sleep_for(1ms);
    }
  }
};

TEST_F(HandlersOfTwoPorts, MayReplaceEachOther) {
  both_at_once([](std::unique_ptr<Port>& other) {
    const MessageHandler before = other->on_message([](std::string_view) {});
    EXPECT_TRUE(before);
  });
}

TEST_F(HandlersOfTwoPorts, MayCloseEachOthersPorts) {
  both_at_once([](std::unique_ptr<Port>& other) {
    other->close();
    other->on_error({});
    other->on_close({});
  });
}

TEST_F(HandlersOfTwoPorts, MayDestroyEachOthersPorts) {
  both_at_once([](std::unique_ptr<Port>& other) { other.reset(); });
}

TEST_F(HandlersOfTwoPorts, MayDestroyAndReplaceEachOther) {
  std::atomic<int> turn = 0;
  both_at_once([&](std::unique_ptr<Port>& other) {
    if (++turn % 2 == 0) {
      const Port taken = std::move(*other);
    } else {
      other->on_message({});
    }
  });
}

/// What a handler must not do ends the program, and says why.
class HandlerDeathTest : public ::testing::Test {
 protected:
  HandlerDeathTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  static void post_and_wait(std::pair<Port, Port>& ports) {
    (void)ports.first.post_message("now");
    ports.first.close();
    (void)ports.second.wait_closed();
    std::this_thread::sleep_for(10s);
  }
  static constexpr const char* kWords = "a cancellation inside a handler";
};

TEST_F(HandlerDeathTest, IsTheProgramsWhenAThreadEndsItselfInOne) {
  EXPECT_DEATH(
      {
        auto ports = make_port_pair();
        ports.second.on_message([](auto) { ::pthread_exit(nullptr); });
        ports.second.start();
        post_and_wait(ports);
      },
      kWords);
  EXPECT_DEATH(
      {
        auto ports = make_port_pair();
        ports.second.on_message([](auto) {});
        ports.second.on_close([](Status) { ::pthread_exit(nullptr); });
        ports.second.start();
        post_and_wait(ports);
      },
      kWords);
  EXPECT_DEATH(
      {
        auto ports = make_port_pair();
        ports.second.on_message([](auto) { fail(); });
        ports.second.on_error([](const PortError&) { ::pthread_exit(nullptr); });
        ports.second.start();
        post_and_wait(ports);
      },
      kWords);
  EXPECT_DEATH(
      {
        auto ports = make_port_pair();
        ports.second.on_message([](auto) { ::pthread_exit(nullptr); });
        (void)ports.first.post_message("now");
        (void)ports.second.run();
      },
      kWords);
}

TEST_F(HandlerDeathTest, IsTheProgramsWhenAThreadEndsItselfInAnExecutor) {
  EXPECT_DEATH(
      {
        auto ports = make_port_pair({}, {.executor = [](const auto&) { ::pthread_exit(nullptr); }});
        ports.second.on_message([](auto) {});
        ports.second.start();
        post_and_wait(ports);
      },
      kWords);
}

TEST(DeliveryThread, IsNotCancelled) {
  auto ports = make_port_pair();
  std::promise<pthread_t> thread;
  std::promise<void> cancelled;
  int received = 0;
  ports.second.on_message([&](auto) {
    if (++received == 1) thread.set_value(::pthread_self());
    if (received == 1) cancelled.get_future().wait();
    ::pthread_testcancel();
  });
  ports.second.start();
  EXPECT_EQ(ports.first.post_message("one"), Status::ok);
  ::pthread_cancel(thread.get_future().get());
  cancelled.set_value();
  EXPECT_EQ(ports.first.post_message("two"), Status::ok);
  ports.first.close();
  EXPECT_EQ(ports.second.wait_closed(), Status::closed);
  EXPECT_EQ(received, 2);
}

}  // namespace
}  // namespace sluice
