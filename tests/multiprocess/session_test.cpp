// Sessions between two processes: one is killed, comes back, and goes on.
#include "sluice/ipc/connect/session.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "number_message.hpp"
#include "report.hpp"
#include "session_parts.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// A survivor in this process, victims in others.
class SessionPair : public ::testing::Test {
 protected:
  explicit SessionPair(Role survivor) : survivor_role_(survivor) {}

  Role survivor_role() const { return survivor_role_; }
  Role victim_role() const { return other(survivor_role_); }

  template <typename Body>
  ChildProcess victim(Body body, const SessionOptions& options = {}) {
    return ChildProcess([path = channel_.path(), role = victim_role(), options, body = std::move(body)] {
      Port port = open_session(role, path, options);
      body(port);
    });
  }
  Port survivor(SessionOptions options = {}) {
    options.on_state = events_.handler();
    return open_session(survivor_role(), channel_.path(), std::move(options));
  }

  const Watchdog watchdog_{60s, "a session"};
  const Role survivor_role_;
  TestChannel channel_;
  Events events_;
};

class Session : public SessionPair, public ::testing::WithParamInterface<Role> {
 protected:
  Session() : SessionPair(GetParam()) {}
};

/// What only a host can do.
class HostSession : public SessionPair {
 protected:
  HostSession() : SessionPair(Role::host) {}
};

TEST_P(Session, GivesARestartedConsumerWhatItsPredecessorHadNotReleased) {
  Report report;
  ChildProcess first = victim([&](Port& port) {
    for (int i = 0; i < 10; ++i) {
      const Message message = port.receive();
      EXPECT_FALSE(message.replayed());
    }
    Message held = port.receive();  // not released: number 11
    report.say(held.sequence());
    ::pause();
  });
  Port port = survivor();
  for (std::uint64_t number = 1; number <= 20; ++number)
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
  ASSERT_EQ(report.hear(), 11U);
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  for (std::uint64_t number = 21; number <= 30; ++number)
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);

  ChildProcess second = victim([&](Port& mine) {
    EXPECT_EQ(mine.session()->epoch, 2U);
    for (std::uint64_t number = 11; number <= 40; ++number) {
      const Message message = mine.receive();
      ASSERT_TRUE(message);
      EXPECT_EQ(message.sequence(), number);
      EXPECT_EQ(number_in(message), number);
      EXPECT_EQ(message.replayed(), number <= 30);
    }
  });
  ASSERT_TRUE(events_.wait_for(SessionState::resumed));
  for (std::uint64_t number = 31; number <= 40; ++number)
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
  EXPECT_TRUE(second.wait_for(20s)->ok());
  const auto closed = events_.wait_for(SessionState::closed);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, Status::closed);
}

TEST_P(Session, GivesAMessageAgainWhoseHandlingWasEndedByAnException) {
  Report report;
  ChildProcess first = victim([&](Port& port) {
    try {
      while (const Message message = port.receive()) {
        if (number_in(message) == 3) throw std::runtime_error("number three");
      }
    } catch (const std::runtime_error&) {
      report.say(3);
      ::pause();
    }
  });
  Port port = survivor();
  for (std::uint64_t number = 1; number <= 5; ++number)
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
  ASSERT_EQ(report.hear(), 3U);
  EXPECT_EQ(port.wait_until_consumed(deadline_in(10ms)), Status::timed_out);
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));

  ChildProcess second = victim([&](Port& mine) {
    for (std::uint64_t number = 3; number <= 5; ++number) EXPECT_EQ(number_in(mine.receive()), number);
  });
  EXPECT_TRUE(second.wait_for(20s)->ok());
}

// Who catches the exception and goes on has decided that the message is done with.
TEST_P(Session, ReleasesAMessageWhoseHandlingFailedWithTheNextReceive) {
  ChildProcess consumer = victim([&](Port& mine) {
    for (int caught = 0; caught < 3;) {
      try {
        const Message message = mine.receive();
        throw std::runtime_error("every one");
      } catch (const std::runtime_error&) {
        ++caught;
      }
    }
    EXPECT_EQ(number_in(mine.receive()), 4U);
    EXPECT_EQ(mine.receive().status(), Status::closed);
  });
  Port port = survivor();
  for (std::uint64_t number = 1; number <= 4; ++number)
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
  EXPECT_EQ(port.wait_until_consumed(), Status::ok);
  port.close();
  EXPECT_TRUE(consumer.wait_for(20s)->ok());
}

// The room that was claimed lies in this side's own ring, whoever reads it.
TEST_P(Session, CommitsAClaimAndABatchToTheNextProcess) {
  Report report;
  ChildProcess first = victim([&](Port& mine) {
    const std::uint64_t number = number_in(mine.receive());  // and releases it
    report.say(number);
    ::pause();
  });
  Port port = survivor();
  ASSERT_EQ(port.post_message(bytes_of(std::uint64_t{1})), Status::ok);
  ASSERT_EQ(report.hear(), 1U);
  ASSERT_EQ(port.append_message(bytes_of(std::uint64_t{2})), Status::ok);
  Claim claim = port.claim(sizeof(std::uint64_t));
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  EXPECT_EQ(port.post_message(bytes_of(std::uint64_t{9})), Status::misuse);
  ChildProcess second = victim([&](Port& mine) {
    for (std::uint64_t number = 2; number <= 3; ++number) EXPECT_EQ(number_in(mine.receive()), number);
    EXPECT_EQ(mine.receive().status(), Status::closed);
  });
  ASSERT_TRUE(events_.wait_for(SessionState::resumed));
  EXPECT_EQ(port.try_post_message(bytes_of(std::uint64_t{9})), Status::misuse);
  const std::uint64_t three = 3;
  std::memcpy(claim.bytes().data(), &three, sizeof three);
  ASSERT_EQ(claim.commit(), Status::ok);
  port.close();
  EXPECT_TRUE(second.wait_for(20s)->ok());
}

TEST_P(Session, GoesOnBehindWhatAKilledProducerHadPublished) {
  Report report;
  const auto produce = [&](Port& mine) {
    report.say(mine.next_sequence());
    while (mine.next_sequence() <= 200'000) {
      const std::uint64_t number = mine.next_sequence();
      if (mine.post_message(bytes_of(number)) != Status::ok) return;
    }
    (void)mine.wait_until_consumed();
  };
  std::optional<ChildProcess> producer;
  producer.emplace([&] {
    Port port = open_session(victim_role(), channel_.path(), {});
    produce(port);
  });
  Port port = survivor({.port = {.ring_bytes = 4096}});
  ASSERT_EQ(report.hear(), 1U);
  std::uint64_t expected = 1;
  for (int kills = 0; expected <= 200'000; ++expected) {
    const Message message = port.receive();
    ASSERT_TRUE(message) << to_string(message.status());
    ASSERT_EQ(message.sequence(), expected);
    ASSERT_EQ(number_in(message), expected);
    if (expected % 30'000 == 0 && kills < 5) {
      ++kills;
      producer.reset();
      producer.emplace([&] {
        Port mine = open_session(victim_role(), channel_.path(), {});
        produce(mine);
      });
    }
  }
  EXPECT_TRUE(producer->wait_for(20s)->ok());
}

TEST_P(Session, BlocksThePosterOnlyWhenTheRingIsFullWhileThePeerIsAway) {
  ChildProcess first = victim([](Port&) { ::pause(); });
  Port port = survivor({.port = {.ring_bytes = 4096}});
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  std::uint64_t posted = 0;
  while (port.try_post_message(bytes_of(posted + 1)) == Status::ok) ++posted;
  EXPECT_GT(posted, 50U);
  EXPECT_EQ(port.post_message_for(bytes_of(posted), 10ms), Status::timed_out);
  EXPECT_TRUE(port.is_open());
  EXPECT_EQ(port.receive_for(10ms).status(), Status::timed_out);

  ChildProcess second = victim([posted](Port& mine) {
    for (std::uint64_t number = 1; number <= posted + 1; ++number) {
      const Message message = mine.receive();
      ASSERT_EQ(number_in(message), number);
    }
  });
  ++posted;
  EXPECT_EQ(port.post_message(bytes_of(posted)), Status::ok);  // waits for the new consumer
  EXPECT_EQ(port.wait_until_consumed(), Status::ok);
  EXPECT_TRUE(second.wait_for(20s)->ok());
}

TEST_P(Session, EndsWhenNobodyComesBackWithinTheWindow) {
  ChildProcess peer = victim([](Port& mine) {
    EXPECT_EQ(mine.post_message(bytes_of(7)), Status::ok);
    ::pause();
  });
  Port port = survivor({.resume_window = 50ms});
  EXPECT_EQ(number_in(port.receive()), 7U);
  peer.signal(SIGKILL);
  EXPECT_EQ(port.receive().status(), Status::peer_died);
  EXPECT_EQ(port.post_message({}), Status::peer_died);
  EXPECT_FALSE(port.is_open());
  const auto closed = events_.wait_for(SessionState::closed);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, Status::peer_died);
}

TEST_P(Session, DeliversToHandlersAcrossAResumption) {
  const auto produce = [](Port& mine) {
    const std::uint64_t last = mine.next_sequence() + 999;
    while (mine.next_sequence() <= last) {
      const std::uint64_t number = mine.next_sequence();
      ASSERT_EQ(mine.post_message(bytes_of(number)), Status::ok);
    }
    ASSERT_EQ(mine.wait_until_consumed(), Status::ok);
    ::kill(::getpid(), SIGKILL);
  };
  std::optional<ChildProcess> producer(std::in_place, [&] {
    Port port = open_session(victim_role(), channel_.path(), {});
    produce(port);
  });
  Port port = survivor();
  std::atomic<std::uint64_t> last{0};
  std::atomic<bool> in_order{true};
  port.on_message([&](std::span<const std::byte> message) {
    std::uint64_t number = 0;
    std::memcpy(&number, message.data(), sizeof number);
    if (number != last + 1) in_order = false;
    last = number;
  });
  port.start();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
    EXPECT_EQ(last, 1000U * static_cast<unsigned>(round + 1));
    producer.reset();
    producer.emplace([&] {
      Port mine = open_session(victim_role(), channel_.path(), {});
      produce(mine);
    });
  }
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  EXPECT_EQ(last, 4000U);
  EXPECT_TRUE(in_order);
}

TEST_P(Session, CarriesMessagesInBothDirectionsThroughManyResumptions) {
  const auto echo = [](Port& mine) {
    for (;;) {
      const Message message = mine.receive();
      if (!message) return;
      // The answer's number is the question's: a restarted process answers each only once.
      if (message.sequence() >= mine.next_sequence())
        if (mine.post_message(message.bytes()) != Status::ok) return;
    }
  };
  const auto start = [&](std::optional<ChildProcess>& child) {
    child.reset();
    child.emplace([&] {
      Port port = open_session(victim_role(), channel_.path(), {});
      echo(port);
    });
  };
  std::optional<ChildProcess> child;
  start(child);
  Port port = survivor({.port = {.ring_bytes = 4096}});
  for (std::uint64_t number = 1; number <= 20'000; ++number) {
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
    if (number % 1000 == 0) start(child);
    const Message answer = port.receive();
    ASSERT_TRUE(answer) << to_string(answer.status());
    ASSERT_EQ(number_in(answer), number);
    ASSERT_EQ(answer.sequence(), number);
  }
}

TEST_P(Session, GivesWhatAPeerPostedThatCameAndClosedBetweenTwoReceives) {
  ChildProcess first = victim([](Port& mine) {
    EXPECT_EQ(mine.post_message(bytes_of(1)), Status::ok);
    ::pause();
  });
  Port port = survivor();
  EXPECT_EQ(number_in(port.receive()), 1U);
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  ChildProcess second = victim([](Port& mine) {
    const std::uint64_t begin = mine.next_sequence();
    for (std::uint64_t number = begin; number < begin + 3; ++number)
      EXPECT_EQ(mine.post_message(bytes_of(number)), Status::ok);
  });
  ASSERT_TRUE(second.wait_for(20s)->ok());
  ASSERT_TRUE(events_.wait_for(SessionState::closed));
  for (std::uint64_t number = 2; number < 5; ++number) EXPECT_EQ(number_in(port.receive()), number);
  EXPECT_EQ(port.receive().status(), Status::closed);
  EXPECT_EQ(port.post_message(bytes_of(1)), Status::closed);
  EXPECT_FALSE(port.is_open());
}

TEST_P(Session, DeliversToAHandlerWhatAPeerPostedThatCameAndClosedBeforeItsThreadStarted) {
  ChildProcess first = victim([](Port&) { ::pause(); });
  Port port = survivor();
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  ChildProcess second = victim([](Port& mine) { EXPECT_EQ(mine.post_message(bytes_of(1)), Status::ok); });
  ASSERT_TRUE(second.wait_for(20s)->ok());
  ASSERT_TRUE(events_.wait_for(SessionState::closed));
  std::atomic<int> messages{0};
  std::promise<Status> closed;
  port.on_message([&](std::span<const std::byte>) { ++messages; });
  port.on_close([&](Status reason) { closed.set_value(reason); });
  port.start();
  EXPECT_EQ(closed.get_future().get(), Status::closed);
  EXPECT_EQ(messages, 1);
}

TEST_P(Session, KnowsWhatAPeerConsumedThatCameAndClosedBetweenTwoCalls) {
  ChildProcess first = victim([](Port&) { ::pause(); });
  Port port = survivor();
  for (std::uint64_t number = 1; number < 4; ++number)
    EXPECT_EQ(port.post_message(bytes_of(number)), Status::ok);
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  ChildProcess second = victim([](Port& mine) {
    for (std::uint64_t number = 1; number < 4; ++number) EXPECT_EQ(number_in(mine.receive()), number);
  });
  ASSERT_TRUE(second.wait_for(20s)->ok());
  ASSERT_TRUE(events_.wait_for(SessionState::closed));
  EXPECT_EQ(port.wait_until_consumed(), Status::ok);
}

// The peer's ring goes round without the process that was replaced while it received.
TEST_F(HostSession, TellsAReplacedConsumerThatItIsSupersededAndBlamesNobody) {
  Report report;
  ChildProcess host([&] {
    Port port = host_session(channel_.path(), {.port = {.ring_bytes = 4096}, .replace_living_peer = true});
    while (port.post_message(bytes_of(port.next_sequence())) == Status::ok) {
    }
  });
  ChildProcess replaced([&] {
    Port port = join_session(channel_.path());
    std::uint64_t held = 0;
    {
      const Message message = port.receive();
      EXPECT_TRUE(message.intact());
      report.say(1);
      ::raise(SIGSTOP);
      held = number_in(message);
      EXPECT_TRUE(held == 1 || !message.intact());
      EXPECT_FALSE(message.intact()) << "the ring has gone round";
    }
    Message next = port.receive();
    EXPECT_EQ(next.status(), Status::superseded) << port.failure_text();
    EXPECT_EQ(port.post_message({}), Status::superseded);
    EXPECT_EQ(port.try_receive().status(), Status::superseded);
    EXPECT_EQ(port.failure_text(), "");
  });
  ASSERT_EQ(report.hear(), 1U);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(replaced.pid()), &info, WSTOPPED | WNOWAIT), 0);
  Port port = join_session(channel_.path());
  for (std::uint64_t number = 1; number < 2000; ++number) EXPECT_EQ(number_in(port.receive()), number);
  replaced.signal(SIGCONT);
  EXPECT_TRUE(replaced.wait_for(20s)->ok());
}

// Millions of small records take longer than the handshake's time.
TEST_P(Session, GoesOnWithALargeRingHoweverShortAHandshakeMayBe) {
  SessionOptions large{.port = {.ring_bytes = 64 << 20}, .timeout = 60s, .handshake_timeout = 200ms};
  Report report;
  ChildProcess first = victim(
      [&](Port& mine) {
        while (mine.try_post_message({}) == Status::ok) {
        }
        report.say(mine.next_sequence());
        ::pause();
      },
      large);
  Port port = survivor(large);
  const std::uint64_t next = report.hear();
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  ChildProcess second = victim([&](Port& mine) { EXPECT_EQ(mine.next_sequence(), next); }, large);
  EXPECT_TRUE(events_.wait_for(SessionState::resumed));
  EXPECT_TRUE(second.wait_for(60s)->ok());
}

TEST_P(Session, RefusesACheckpointBeyondWhatWasPostedHoweverFar) {
  ChildProcess first = victim([](Port&) { ::pause(); });
  Port port = survivor();
  const auto session = port.session()->id;
  EXPECT_EQ(port.post_message(bytes_of(1)), Status::ok);
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  for (const std::uint64_t beyond : {std::uint64_t{2}, std::uint64_t{1} << 63U, (std::uint64_t{1} << 63U) + 1,
                                     ~std::uint64_t{0} - 1, ~std::uint64_t{0}}) {
    ChildProcess second([&] {
      SessionOptions options;
      options.checkpoint = StreamCheckpoint{.session = session, .sequence = beyond};
      EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, "at most message 1",
                         [&] { (void)open_session(victim_role(), channel_.path(), options); }));
    });
    EXPECT_TRUE(second.wait_for(20s)->ok()) << beyond;
  }
}

// Whoever fails to come back has died, as far as its peer is concerned.
TEST_P(Session, StaysWhenTheHandlerOfAProcessThrowsWhileItComesBack) {
  ChildProcess first = victim([](Port&) { ::pause(); });
  Port port = survivor();
  EXPECT_EQ(port.post_message(bytes_of(1)), Status::ok);
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  ChildProcess second([&] {
    SessionOptions throwing;
    throwing.on_state = [](const SessionEvent&) { throw std::logic_error("no"); };
    EXPECT_THROW((void)open_session(victim_role(), channel_.path(), throwing), std::logic_error);
  });
  EXPECT_TRUE(second.wait_for(20s)->ok());
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  ChildProcess third = victim([](Port& mine) { EXPECT_EQ(number_in(mine.receive()), 1U); });
  EXPECT_EQ(port.wait_until_consumed(deadline_in(20s)), Status::ok);
  EXPECT_TRUE(third.wait_for(20s)->ok());
}

TEST_P(Session, StaysWhenAHandlerThrowsLater) {
  Report report;
  ChildProcess failing([&] {
    SessionOptions options;
    options.on_state = [](const SessionEvent& event) {
      if (event.state == SessionState::resumed) throw 7;
    };
    Port mine = open_session(survivor_role(), channel_.path(), options);
    EXPECT_EQ(mine.receive().status(), Status::broken);
    EXPECT_NE(mine.failure_text().find("on_state threw"), std::string::npos) << mine.failure_text();
    mine.close();
    report.say(HasFailure() ? 0 : 1);
    ::pause();
  });
  std::optional<ChildProcess> first(std::in_place, [&] {
    Port mine = open_session(victim_role(), channel_.path(), {});
    ::kill(::getpid(), SIGKILL);
  });
  ASSERT_TRUE(first->wait_for(20s));
  ChildProcess second = victim([](Port& mine) {
    EXPECT_EQ(mine.session()->epoch, 2U);
    EXPECT_EQ(number_in(mine.receive()), 1U);
  });
  ASSERT_EQ(report.hear(), 1U);
  Port port = survivor();
  EXPECT_EQ(port.session()->epoch, 3U);
  EXPECT_EQ(port.post_message(bytes_of(1)), Status::ok);
  EXPECT_EQ(port.wait_until_consumed(deadline_in(20s)), Status::ok);
  EXPECT_TRUE(second.wait_for(20s)->ok());
}

TEST_F(HostSession, RefusesASecondProcessWhileTheFirstRuns) {
  ChildProcess first = victim([](Port& mine) {
    EXPECT_EQ(number_in(mine.receive()), 5U);
    ::pause();
  });
  Port port = survivor();
  EXPECT_TRUE(
      throws(connect_errc::refused, "which still runs", [&] { (void)join_session(channel_.path()); }));
  EXPECT_EQ(port.post_message(bytes_of(5)), Status::ok);
  EXPECT_EQ(port.wait_until_consumed(), Status::ok);
}

TEST_F(HostSession, ShutsOutAProcessThatWasReplacedWhileItStoodStill) {
  Report report;
  ChildProcess zombie = victim([&](Port& mine) {
    EXPECT_EQ(mine.post_message(bytes_of(1)), Status::ok);
    EXPECT_EQ(mine.wait_until_consumed(), Status::ok);
    report.say(1);
    // Stopped here; goes on once it has been replaced.
    std::uint64_t number = 1000;
    while (mine.post_message_for(bytes_of(number), 5s) == Status::ok) ++number;
    EXPECT_EQ(mine.post_message(bytes_of(1)), Status::superseded);
    EXPECT_FALSE(mine.is_open());
    report.say(number);
  });
  Port port = survivor({.port = {.ring_bytes = 4096}, .replace_living_peer = true});
  EXPECT_EQ(number_in(port.receive()), 1U);
  ASSERT_EQ(report.hear(), 1U);
  zombie.signal(SIGSTOP);
  while (true) {  // what it posted before it stopped counts
    const Message message = port.receive_for(50ms);
    if (!message) break;
  }
  ChildProcess next = victim([](Port& mine) {
    const std::uint64_t first = mine.next_sequence();
    for (std::uint64_t number = first; number < first + 500; ++number)
      ASSERT_EQ(mine.post_message(bytes_of(number)), Status::ok);
    ASSERT_EQ(mine.wait_until_consumed(), Status::ok);
  });
  const auto resumed = events_.wait_for(SessionState::resumed);
  ASSERT_TRUE(resumed);
  zombie.signal(SIGCONT);
  for (std::uint64_t count = 0; count < 500; ++count) {
    const Message message = port.receive();
    ASSERT_TRUE(message) << to_string(message.status());
    ASSERT_EQ(number_in(message), message.sequence());
  }
  EXPECT_GT(report.hear(), 999U);
  EXPECT_TRUE(zombie.wait_for(20s)->ok());
  EXPECT_TRUE(next.wait_for(20s)->ok());
}

TEST_P(Session, GoesOnExactlyBehindACheckpoint) {
  ring::SessionId id{};
  Report report;
  ChildProcess first = victim([&](Port& mine) {
    for (int i = 0; i < 50; ++i) (void)mine.receive();
    report.say(50);
    ::pause();
  });
  Port port = survivor({.port = {.ring_bytes = 8192, .replay_window_bytes = 1024}});
  id = port.session()->id;
  for (std::uint64_t number = 1; number <= 100; ++number)
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
  ASSERT_EQ(report.hear(), 50U);
  const auto restart = [&](std::uint64_t handled, std::uint64_t next, std::optional<std::uint64_t> gap_to) {
    SessionOptions options;
    options.checkpoint = StreamCheckpoint{.session = id, .sequence = handled};
    Events mine_events;
    options.on_state = mine_events.handler();
    Port mine = open_session(victim_role(), channel_.path(), options);
    if (gap_to) {
      const auto gap = mine_events.wait_for(SessionState::gap);
      ASSERT_TRUE(gap);
      EXPECT_EQ(gap->first, handled + 1);
      EXPECT_EQ(gap->last, *gap_to);
    }
    const auto resumed = mine_events.wait_for(SessionState::resumed);
    ASSERT_TRUE(resumed);
    EXPECT_EQ(resumed->first, next);
    EXPECT_EQ(resumed->last, 100U);
    const Message message = mine.receive();
    EXPECT_EQ(message.sequence(), next);
    EXPECT_EQ(number_in(message), next);
    EXPECT_FALSE(message.replayed());
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);  // without closing, and without releasing
  };
  const auto run = [&](auto... arguments) {
    ChildProcess child([&] { restart(arguments...); });
    const auto status = child.wait_for(20s);
    return status && status->ok();
  };
  using Gap = std::optional<std::uint64_t>;
  first.signal(SIGKILL);
  ASSERT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
  EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, "at most message 100", [&] {
    SessionOptions options;
    options.checkpoint = StreamCheckpoint{.session = id, .sequence = 101};
    (void)open_session(victim_role(), channel_.path(), options);
  }));
  EXPECT_TRUE(run(30U, 31U, Gap{}));  // released up to 50; the window keeps 64 of the small records
  EXPECT_TRUE(run(0U, 1U, Gap{}));
  EXPECT_TRUE(run(80U, 81U, Gap{}));  // now everything up to 80 counts as released
  EXPECT_TRUE(run(0U, 17U, Gap{16U}));
}

INSTANTIATE_TEST_SUITE_P(Survivor, Session, ::testing::Values(Role::host, Role::join),
                         [](const auto& tested) {
                           return std::string(tested.param == Role::host ? "Host" : "Joiner");
                         });

}  // namespace
}  // namespace sluice::test
