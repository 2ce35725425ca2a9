// A process killed after any instruction of what it does with its port: nothing that was published is lost,
// torn, doubled or reordered, the survivor is told at once what there is, and the next process goes on.
//
// Each round starts a victim, which resumes the session, runs one call instruction by instruction and is
// killed in the middle of it. The gate takes every so-manieth instruction, the soak program takes all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "numbered_message.hpp"
#include "process_signal.hpp"
#include "session_parts.hpp"
#include "shared_page.hpp"
#include "single_step.hpp"
#include "surviving_side.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

#ifdef SLUICE_SOAK
constexpr std::uint64_t kStride = 1;
constexpr std::uint64_t kStrideOfClosing = 1;
constexpr std::uint64_t kStrideOfOpeningCalls = 1;
constexpr std::uint64_t kStrideOfOpening = 301;  // of some 84,000
constexpr auto kTimeLimit = 3600s;
#elif defined(__SANITIZE_ADDRESS__)  // each instruction becomes many
constexpr std::uint64_t kStride = 101;
constexpr std::uint64_t kStrideOfClosing = 301;
constexpr std::uint64_t kStrideOfOpeningCalls = 7;
constexpr std::uint64_t kStrideOfOpening = 0;  // not at all: millions
constexpr auto kTimeLimit = 240s;
#else
constexpr std::uint64_t kStride = 3;  // some windows are no wider
constexpr std::uint64_t kStrideOfClosing = 61;
constexpr std::uint64_t kStrideOfOpeningCalls = 3;
constexpr std::uint64_t kStrideOfOpening = 15'001;  // of some 84,000
constexpr auto kTimeLimit = 120s;
#endif

/// What victims leave behind, in memory that outlives them.
struct Ledger {
  std::atomic<std::uint64_t> first{0};     ///< where the present victim's receiving began
  std::atomic<std::uint64_t> next{0};      ///< the number that it posts first
  std::atomic<std::uint64_t> received{0};  ///< the last message that any victim was given
  std::atomic<std::uint64_t> released{0};  ///< the last one that it gave back, and returned from that
  std::atomic<std::uint64_t> posted{0};    ///< the last one that it posted, and returned from that
  std::atomic<const char*> complaint{nullptr};
};

/// What a victim is going to post, made before its first stop.
using Prepared = std::array<std::vector<std::byte>, 3>;

Prepared prepare(const Port& port) {
  NumberedMessages messages = from_victim();
  Prepared prepared;
  std::uint64_t number = port.next_sequence();
  for (std::vector<std::byte>& message : prepared) {
    const auto made = messages.make(number++);
    message.assign(made.begin(), made.end());
  }
  return prepared;
}

/// One call, or a few, of a victim.
struct Deed {
  const char* name;
  void (*run)(Port& port, const Prepared& messages, Ledger& ledger);
};

void post(Port& port, const Prepared& messages, Ledger& ledger) {
  if (port.post_message(messages[0]) == Status::ok) ledger.posted = port.next_sequence() - 1;
}

void claim_and_commit(Port& port, const Prepared& messages, Ledger& ledger) {
  Claim claim = port.claim(200);
  if (!claim) return;
  std::memcpy(claim.bytes().data(), messages[0].data(), messages[0].size());
  if (claim.commit(messages[0].size()) == Status::ok) ledger.posted = port.next_sequence() - 1;
}

void post_batch(Port& port, const Prepared& messages, Ledger& ledger) {
  for (const std::vector<std::byte>& message : messages)
    if (port.append_message(message) != Status::ok) return;
  port.publish();
  ledger.posted = port.next_sequence() - 1;
}

void receive_and_release(Port& port, const Prepared& /*messages*/, Ledger& ledger) {
  const std::uint64_t before = ledger.received;
  Message message = port.receive();
  if (!message) return;
  if (message.sequence() <= before && !message.replayed())
    ledger.complaint = "a replayed message isn't marked";
  ledger.received = message.sequence();
  message.release();
  ledger.released = message.sequence();
}

class EveryInstruction : public ::testing::TestWithParam<Role> {
 protected:
  Role survivor_role() const { return GetParam(); }
  Role victim_role() const { return other(GetParam()); }

  /// A new session, whose first process at the victim's end is dead.
  void begin(Receiving receiving = Receiving::at_once) {
    survivor_.reset();
    ChildProcess first([&] {
      const Port port = open();
      ::pause();
    });
    survivor_.emplace(survivor_role(), channel_.path(), receiving);
    end(first);
    ASSERT_TRUE(survivor_->events().wait_for(SessionState::waiting_for_peer));
    ASSERT_TRUE(comes_true([&] { return survivor_->is_idle(); }));
    ring_holds_ = survivor_->posted();
  }

  static void end(ChildProcess& child) {
    child.signal(SIGKILL);
    EXPECT_TRUE(child.wait_for(20s));
  }

  // In a victim.

  Port open() {
    SessionOptions options{.port = kSmallRing};
    options.on_state = [this](const SessionEvent& event) {
      if (event.state == SessionState::connected) ledger_->first = 1;
      if (event.state == SessionState::resumed) ledger_->first = event.first;
    };
    return open_session(victim_role(), channel_.path(), options);
  }

  /// Looks at everything that waits for it.
  void look_around(const Port& port) {
    ledger_->next = port.next_sequence();
    ring::HistoryReader history = port.history();
    if (history.seek(ledger_->first) != Status::ok) {
      ledger_->complaint = "the first unreleased message isn't there";
      return;
    }
    std::vector<std::byte> copy;
    ring::Sequence number = 0;
    while (history.next(copy, number) == Status::ok)
      if (!from_survivor().matches(copy, number)) ledger_->complaint = "a waiting message isn't whole";
  }

  // In the test.

  /// What must hold once a victim has looked around.
  void check_resumption() {
    survivor_->receive_what_waits();
    EXPECT_EQ(ledger_->complaint, nullptr) << ledger_->complaint.load();
    EXPECT_TRUE(survivor_->in_order());
    // Nothing skipped, and nothing that was given back comes again.
    EXPECT_GT(ledger_->first, ledger_->released);
    EXPECT_LE(ledger_->first, ledger_->received + 1);
    // It goes on behind everything that was published, which the survivor has received.
    EXPECT_GT(ledger_->next, ledger_->posted);
    EXPECT_EQ(ledger_->next, survivor_->received() + 1);
    if (received_at_death_) {
      EXPECT_EQ(ledger_->next, *received_at_death_ + 1);
    }
    if (posted_at_death_) {
      EXPECT_EQ(*posted_at_death_, ledger_->first - 1 + ring_holds_);
    }
    // What was given back has made room.
    EXPECT_EQ(survivor_->posted(), ledger_->first - 1 + ring_holds_);
  }

  /// Kills a victim after `steps` instructions of the deed. False once the deed has fewer.
  bool round(const Deed& deed, std::uint64_t steps) {
    ChildProcess child([&] {
      Port port = open();
      look_around(port);
      const Prepared messages = prepare(port);
      StopsForItsParent stops;
      stops.stop();
      deed.run(port, messages, *ledger_);
      stops.stop();
      ::pause();
    });
    const Stepper stepper(child.pid());
    EXPECT_TRUE(stepper.wait_for_stop());
    check_resumption();
    EXPECT_TRUE(comes_true([&] { return survivor_->is_idle(); }));
    const std::uint64_t done = stepper.step(steps);
    end(child);
    // Told of the death, the survivor has all that was published and all room at once, without a next
    // process.
    EXPECT_TRUE(survivor_->events().wait_for(SessionState::waiting_for_peer));
    EXPECT_TRUE(comes_true([&] { return survivor_->is_idle(); }));
    if (receiving_ == Receiving::at_once) received_at_death_ = survivor_->received();
    posted_at_death_ = survivor_->posted();
    return done == steps;
  }

  void kill_at_every_instruction(const Deed& deed, Receiving receiving = Receiving::at_once) {
    begin(receiving);
    receiving_ = receiving;
    std::uint64_t steps = 0;
    for (bool more = true; more; steps += kStride) {
      more = round(deed, steps);
      ASSERT_FALSE(HasFailure()) << "killed after " << steps << " instructions";
    }
    EXPECT_GT(steps, 50U);
    std::printf("%s: %llu instructions\n", deed.name, static_cast<unsigned long long>(steps - kStride));
  }

  /// Kills a victim that is closing its port after `steps` instructions. False once that has fewer.
  bool closing(std::uint64_t steps, bool& closed) {
    ChildProcess child([&] {
      Port port = open();
      post_batch(port, prepare(port), *ledger_);
      StopsForItsParent stops;
      stops.stop();
      port.close();
      stops.stop();
      ::pause();
    });
    const Stepper stepper(child.pid());
    EXPECT_TRUE(stepper.wait_for_stop());
    const std::uint64_t done = stepper.step(steps);
    end(child);
    const auto end =
        survivor_->events().wait_for_either(SessionState::waiting_for_peer, SessionState::closed);
    EXPECT_TRUE(end) << "the survivor wasn't told";
    EXPECT_TRUE(comes_true([&] { return survivor_->received() == 3; }));
    closed = end && end->state == SessionState::closed;
    if (closed) {
      EXPECT_EQ(end->reason, Status::closed);
    } else {
      expect_next_victim_goes_on();
    }
    return done == steps;
  }

  /// Kills a victim that is opening its session after `steps` steps. False once the opening has fewer.
  template <typename Step>
  bool opening(std::uint64_t steps, Step step) {
    ChildProcess child([&] {
      StopsForItsParent stops;
      stops.stop();
      const Port port = open();
      stops.stop();
      ::pause();
    });
    const Stepper stepper(child.pid());
    EXPECT_TRUE(stepper.wait_for_stop());
    const std::uint64_t done = step(stepper, steps);
    end(child);
    return done == steps;
  }

  /// The next one, which is let alone, opens the session and uses it.
  void expect_next_victim_goes_on() {
    ProcessSignal looked;
    ProcessSignal go_on;
    ChildProcess child([&] {
      Port port = open();
      look_around(port);
      looked.notify();
      go_on.wait();
      const Prepared messages = prepare(port);
      post(port, messages, *ledger_);
      receive_and_release(port, messages, *ledger_);
      EXPECT_EQ(port.wait_until_consumed(deadline_in(20s)), Status::ok);
      looked.notify();
      ::pause();
    });
    looked.wait();
    check_resumption();
    go_on.notify();
    looked.wait();
    end(child);
    EXPECT_TRUE(comes_true([&] { return survivor_->posted() == ledger_->released + ring_holds_; }));
  }

  const Watchdog watchdog_{kTimeLimit, "killing at every instruction"};
  TestChannel channel_;
  SharedPage<Ledger> ledger_;
  std::optional<Survivor> survivor_;
  Receiving receiving_ = Receiving::at_once;
  std::optional<std::uint64_t> received_at_death_;  // before the next victim could wake the survivor
  std::optional<std::uint64_t> posted_at_death_;
  std::uint64_t ring_holds_ = 0;  // so many messages of the survivor
};

TEST_P(EveryInstruction, OfPostingLosesNothing) {
  kill_at_every_instruction({"post_message", &post});
}
TEST_P(EveryInstruction, OfClaimAndCommitLosesNothing) {
  kill_at_every_instruction({"claim, commit", &claim_and_commit});
}
TEST_P(EveryInstruction, OfABatchLosesNothing) {
  kill_at_every_instruction({"append_message x 3, publish", &post_batch});
}
TEST_P(EveryInstruction, OfABatchLosesNothingThatIsReceivedFromTheNextProcess) {
  kill_at_every_instruction({"append_message x 3, publish", &post_batch}, Receiving::after_the_resumption);
}
TEST_P(EveryInstruction, OfReceivingLosesNothing) {
  kill_at_every_instruction({"receive, release", &receive_and_release});
}

TEST_P(EveryInstruction, OfClosingEndsOrKeepsTheSession) {
  bool closed = false;
  std::uint64_t steps = 0;
  for (bool more = true; more; steps += kStrideOfClosing) {
    ledger_.reset();
    begin();
    more = closing(steps, closed);
    ASSERT_FALSE(HasFailure()) << "killed after " << steps << " instructions";
  }
  EXPECT_TRUE(closed);
  std::printf("close: %llu instructions\n", static_cast<unsigned long long>(steps - kStrideOfClosing));
}

/// What is written while a session is opened, others see at its system calls.
TEST_P(EveryInstruction, OfOpeningLosesNothing) {
  begin();
  const auto kill_at_each = [&](const char* what, std::uint64_t stride, auto step) {
    std::uint64_t steps = 0;
    for (bool more = true; more; steps += stride) {
      more = opening(steps, step);
      expect_next_victim_goes_on();
      ASSERT_FALSE(HasFailure()) << "killed after " << steps << " " << what;
    }
    EXPECT_GT(steps, 80U);
    std::printf("opening: %llu %s\n", static_cast<unsigned long long>(steps - stride), what);
  };
  kill_at_each("entries of and returns from system calls", kStrideOfOpeningCalls,
               [](const Stepper& stepper, std::uint64_t count) { return stepper.step_system_calls(count); });
  if constexpr (kStrideOfOpening != 0) {
    kill_at_each("instructions", kStrideOfOpening,
                 [](const Stepper& stepper, std::uint64_t count) { return stepper.step(count); });
  }
}

INSTANTIATE_TEST_SUITE_P(Survivor, EveryInstruction, ::testing::Values(Role::host, Role::join),
                         [](const auto& tested) {
                           return std::string(tested.param == Role::host ? "Host" : "Joiner");
                         });

}  // namespace
}  // namespace sluice::test
