// What counts as a death, who may follow it, and what happens when both sides are dead.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.hpp"
#include "process_signal.hpp"
#include "session_parts.hpp"
#include "shared_page.hpp"
#include "single_step.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

std::span<const std::byte> text(const char* words) {
  return std::as_bytes(std::span(words, std::char_traits<char>::length(words)));
}

/// A survivor in this process, victims in others.
class SessionDeath : public ::testing::TestWithParam<Role> {
 protected:
  Role survivor_role() const { return GetParam(); }
  Role victim_role() const { return other(GetParam()); }

  template <typename Body>
  ChildProcess victim(Body body, const SessionOptions& options = {}) {
    return ChildProcess([this, options, body = std::move(body)] {
      Port port = open_session(victim_role(), channel_.path(), options);
      body(port);
    });
  }
  Port survivor(SessionOptions options = {}) {
    options.on_state = events_.handler();
    return open_session(survivor_role(), channel_.path(), std::move(options));
  }
  /// The next process resumes the session, and a message goes each way.
  void expect_next_goes_on(Port& port) {
    ChildProcess next = victim([](Port& mine) {
      EXPECT_TRUE(mine.receive());
      EXPECT_EQ(mine.post_message(text("answer")), Status::ok);
      EXPECT_EQ(mine.wait_until_consumed(deadline_in(20s)), Status::ok);
    });
    EXPECT_EQ(port.post_message(text("question")), Status::ok);
    EXPECT_TRUE(port.receive());
    EXPECT_TRUE(next.wait_for(20s)->ok());
  }

  const Watchdog watchdog_{60s, "a session's death"};
  TestChannel channel_;
  Events events_;
};

TEST_P(SessionDeath, IsWhatAZombieHasWhoseGrandchildHoldsTheSocket) {
  // It holds the connection; and of a host the listening socket too.
  ProcessSignal has_grandchild;
  ProcessSignal end_of_grandchild;
  ChildProcess peer = victim([&](Port&) {
    if (::fork() == 0) {
      ::alarm(60);
      end_of_grandchild.wait();
      ::_exit(0);
    }
    has_grandchild.notify();
    ::pause();
  });
  Port port = survivor();
  has_grandchild.wait();
  peer.signal(SIGKILL);  // and nobody reaps it
  EXPECT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  expect_next_goes_on(port);
  end_of_grandchild.notify();
}

TEST_P(SessionDeath, LetsOneOfSeveralFollow) {
  constexpr std::uint64_t kProcesses = 3;
  ProcessSignal won;
  ProcessSignal lost;
  std::vector<std::unique_ptr<ChildProcess>> children;
  ProcessSignal start;
  // Forked while no other thread runs here: a sanitizer's own locks don't survive a fork.
  for (std::uint64_t i = 0; i < kProcesses; ++i) {
    children.push_back(std::make_unique<ChildProcess>([&] {
      start.wait();
      try {
        Port mine = open_session(victim_role(), channel_.path(), {});
        won.notify();
        EXPECT_TRUE(mine.receive());
        ::pause();
      } catch (const error& why) {
        EXPECT_EQ(why.code(), victim_role() == Role::host ? connect_errc::name_taken : connect_errc::refused)
            << why.what();
        if (HasFailure()) return;
        lost.notify();
      }
    }));
  }
  ChildProcess first = victim([](Port&) { ::pause(); });
  Port port = survivor();
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  for (std::uint64_t i = 0; i < kProcesses; ++i) start.notify();
  won.wait();
  for (std::uint64_t i = 1; i < kProcesses; ++i) lost.wait();
  EXPECT_EQ(port.post_message(text("to the one that won")), Status::ok);
  EXPECT_EQ(port.wait_until_consumed(deadline_in(20s)), Status::ok);
}

TEST_P(SessionDeath, InTheMiddleOfTheFirstOpeningLeavesTheOtherSideWaiting) {
  std::uint64_t calls = 0;
  for (bool more = true; more; calls += 5) {
    // Forked while no other thread runs here: a sanitizer's own locks don't survive a fork.
    ProcessSignal turn_of_the_next;
    ChildProcess next([&] {
      turn_of_the_next.wait();
      Port mine = open_session(victim_role(), channel_.path(), {});
      EXPECT_EQ(mine.post_message(text("hello")), Status::ok);
      EXPECT_EQ(mine.wait_until_consumed(deadline_in(20s)), Status::ok);
    });
    ChildProcess child([&] {
      StopsForItsParent stops;
      stops.stop();
      const Port mine = open_session(victim_role(), channel_.path(), {});
      stops.stop();
      ::pause();
    });
    std::future<Port> opening = std::async(std::launch::async, [&] { return survivor(); });
    const Stepper stepper(child.pid());
    ASSERT_TRUE(stepper.wait_for_stop());
    more = stepper.step_system_calls(calls) == calls;
    child.signal(SIGKILL);
    EXPECT_TRUE(child.wait_for(20s));
    turn_of_the_next.notify();
    Port port = opening.get();
    Message message = port.receive();
    ASSERT_TRUE(message) << "killed after " << calls << " entries of and returns from system calls";
    EXPECT_EQ(message.sequence(), 1U);
    message.release();
    EXPECT_TRUE(next.wait_for(20s)->ok());
  }
  EXPECT_GT(calls, 50U);
}

TEST_P(SessionDeath, OfBothBeginsANewSessionAndTellsWhoHasACheckpoint) {
  SharedPage<ring::SessionId> id;
  {
    ProcessSignal connected;
    ChildProcess peer = victim([](Port& mine) {
      EXPECT_EQ(mine.post_message(text("lost with both")), Status::ok);
      ::pause();
    });
    ChildProcess both([&] {
      const Port port = open_session(survivor_role(), channel_.path(), {});
      *id = port.session()->id;
      connected.notify();
      ::pause();
    });
    connected.wait();
  }
  ChildProcess peer = victim([](Port& mine) {
    EXPECT_EQ(mine.session()->epoch, 1U);
    EXPECT_TRUE(mine.receive());
  });
  SessionOptions options;
  options.checkpoint = StreamCheckpoint{.session = *id, .sequence = 1};
  Port port = survivor(options);
  EXPECT_EQ(events_.states(), (std::vector{SessionState::restarted, SessionState::connected}));
  EXPECT_NE(port.session()->id, *id);
  EXPECT_EQ(port.next_sequence(), 1U);
  EXPECT_EQ(port.post_message(text("anew")), Status::ok);
  EXPECT_TRUE(peer.wait_for(20s)->ok());
}

INSTANTIATE_TEST_SUITE_P(Survivor, SessionDeath, ::testing::Values(Role::host, Role::join),
                         [](const auto& tested) {
                           return std::string(tested.param == Role::host ? "Host" : "Joiner");
                         });

}  // namespace
}  // namespace sluice::test
