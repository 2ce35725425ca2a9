// Whatever order an application calls a port in: what a call said ok to arrives once, unaltered and in order;
// what can't be done is refused.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <fstream>
#include <future>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::throws;

const PortOptions kSmall{.ring_bytes = 4096, .replay_window_bytes = 0};

void write(const Claim& claim, std::string_view text) {
  ASSERT_LE(text.size(), claim.bytes().size());
  std::memcpy(claim.bytes().data(), text.data(), text.size());
}

std::vector<std::string> everything(Port& port) {
  std::vector<std::string> got;
  while (const Message message = port.try_receive()) got.emplace_back(message.text());
  return got;
}

using Texts = std::vector<std::string>;

TEST(OpenClaim, KeepsEverythingElseFromBeingSent) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(5);
  write(claim, "order");
  EXPECT_EQ(a.post_message("a log line"), Status::misuse);
  EXPECT_EQ(a.try_post_message("a log line"), Status::misuse);
  EXPECT_EQ(a.post_message_for("a log line", 1h), Status::misuse);
  EXPECT_EQ(a.post_parts_until(std::as_bytes(std::span("a", 1)), {}, kNoDeadline), Status::misuse);
  EXPECT_EQ(a.append_message("a log line"), Status::misuse);
  EXPECT_EQ(a.claim(5).status(), Status::misuse);
  EXPECT_EQ(a.try_claim(0).status(), Status::misuse);
  EXPECT_EQ(a.try_claim(0).commit(), Status::misuse);
  EXPECT_NE(a.failure_text().find("claim"), std::string::npos) << a.failure_text();
  EXPECT_EQ(claim.commit(), Status::ok);
  EXPECT_EQ(a.post_message("next"), Status::ok);
  EXPECT_EQ(everything(b), (Texts{"order", "next"}));
}

TEST(OpenClaim, GivesWayOnceItWasCommittedAbortedAssignedToOrDestroyed) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(100);
  claim.abort();
  EXPECT_EQ(claim.commit(), Status::misuse);
  EXPECT_EQ(a.post_message("after an abort"), Status::ok);
  { const Claim dropped = a.claim(100); }
  EXPECT_EQ(a.post_message("after a destruction"), Status::ok);
  claim = a.claim(100);
  claim = Claim();
  EXPECT_EQ(a.append_message("after an assignment"), Status::ok);
  claim = a.claim(100);
  write(claim, "committed");
  EXPECT_EQ(claim.append(9), Status::ok);
  EXPECT_EQ(claim.append(9), Status::misuse);
  EXPECT_EQ(claim.commit(), Status::misuse);
  claim = a.claim(0);
  EXPECT_EQ(claim.commit(), Status::ok);
  EXPECT_EQ(everything(b),
            (Texts{"after an abort", "after a destruction", "after an assignment", "committed", ""}));
}

TEST(OpenClaim, StaysOpenWhenMoreThanItsRoomIsCommitted) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(4);
  write(claim, "four");
  EXPECT_EQ(claim.commit(5), Status::too_large);
  EXPECT_EQ(a.post_message("between"), Status::misuse);
  EXPECT_EQ(claim.commit(4), Status::ok);
  EXPECT_EQ(everything(b), Texts{"four"});
}

// Publishing clears a word ahead of time, where the next batch may end.
TEST(OpenClaim, IsLeftAloneWhenABatchBeforeItIsPublished) {
  auto [a, b] = make_port_pair();
  const std::string text(1000, 'x');
  for (const std::size_t appended : {0U, 8U, 64U, 200U}) {
    ASSERT_EQ(a.append_message(std::string(appended, 'y')), Status::ok);
    Claim claim = a.claim(text.size());
    write(claim, text);
    a.publish();
    EXPECT_EQ(b.try_receive().text(), std::string(appended, 'y'));
    EXPECT_EQ(a.wait_until_consumed(deadline_in(20s)), Status::ok);
    EXPECT_EQ(a.post_message("between"), Status::misuse);
    ASSERT_EQ(claim.commit(), Status::ok);
    EXPECT_EQ(b.try_receive().text(), text);
  }
}

TEST(OpenClaim, OfAFullRingIsOneAndOverwritesNothing) {
  auto [a, b] = make_port_pair(kSmall);
  std::string text(56, '\0');
  char posted = 0;
  while (a.try_post_message(text) == Status::ok) text[0] = ++posted;
  for (int i = 0; i < 3; ++i) b.receive().release();
  std::vector<Claim> claims;
  for (int i = 0; i < 8; ++i) claims.push_back(a.try_claim(56));
  EXPECT_EQ(claims[0].status(), Status::ok);
  std::ranges::fill(claims[0].bytes(), std::byte{99});
  for (int i = 1; i < 8; ++i) EXPECT_EQ(claims[static_cast<std::size_t>(i)].commit(), Status::misuse);
  EXPECT_EQ(claims[0].commit(), Status::ok);
  for (char i = 3; i < posted; ++i) EXPECT_EQ(b.try_receive().text().at(0), i);
  EXPECT_EQ(b.try_receive().text(), std::string(56, 'c'));
  EXPECT_FALSE(b.try_receive());
}

TEST(OpenClaim, IsRefusedItsCommitOnceThePortHasEnded) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(4);
  a.close();
  EXPECT_EQ(claim.commit(), Status::closed);
  EXPECT_EQ(b.receive().status(), Status::closed);

  auto [c, d] = make_port_pair();
  Claim late = c.claim(4);
  d.close();
  EXPECT_EQ(c.wait_closed(), Status::closed);
  EXPECT_EQ(late.commit(), Status::closed);
}

TEST(OpenClaim, GoesWithAPortThatMovesAndOutlivesOneThatIsDestroyed) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(5);
  write(claim, "moved");
  Port moved = std::move(a);
  EXPECT_EQ(claim.commit(), Status::ok);
  EXPECT_EQ(b.receive().text(), "moved");
  claim = moved.claim(5);
  moved = Port();
  write(claim, "gone.");
  EXPECT_EQ(claim.commit(), Status::closed);
  claim.abort();
  EXPECT_EQ(claim.commit(), Status::misuse);
}

TEST(Batch, IsPublishedByClosingOrDestroyingThePort) {
  auto [a, b] = make_port_pair();
  for (const char* const text : {"one", "two", "three"}) ASSERT_EQ(a.append_message(text), Status::ok);
  a.close();
  a.publish();
  EXPECT_EQ(a.append_message("late"), Status::closed);
  EXPECT_EQ(everything(b), (Texts{"one", "two", "three"}));
  EXPECT_EQ(b.receive().status(), Status::closed);
  EXPECT_EQ(a.wait_until_consumed(), Status::ok);

  auto [c, d] = make_port_pair();
  ASSERT_EQ(c.append_message("kept"), Status::ok);
  const Claim open = c.claim(100);
  c = Port();
  EXPECT_EQ(d.receive().text(), "kept");
  EXPECT_EQ(d.receive().status(), Status::closed);
}

// What one thread had appended before another one closed the port: all that said ok, or nothing after it.
TEST(Batch, IsPublishedByACloseOnAnotherThread) {
  const test::Watchdog watchdog(100s, "closing a port while a batch is written");
  for (int round = 0; round < 300; ++round) {
    auto [a, b] = make_port_pair({.ring_bytes = 65536});
    std::atomic<int> appended = 0;
    std::thread sender([&, &a = a] {
      for (int i = 0;; ++i) {
        const Status status =
            i % 7 == 3 ? a.post_message(std::to_string(i)) : a.append_message(std::to_string(i));
        if (status != Status::ok) break;
        appended = i + 1;
      }
    });
    while (appended < round) std::this_thread::yield();
    std::thread closer([&a = a] { a.close(); });
    int got = 0;
    while (const Message message = b.receive()) ASSERT_EQ(message.text(), std::to_string(got++));
    sender.join();
    closer.join();
    EXPECT_EQ(got, appended);
  }
}

class ReceivingTwice : public ::testing::Test {
 protected:
  const test::Watchdog watchdog_{60s, "receiving by calls and by handlers"};
};

TEST_F(ReceivingTwice, IsRefusedOnceHandlersGetTheMessages) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message("for the handler"), Status::ok);
  b.start();
  EXPECT_FALSE(b.can_receive());
  EXPECT_EQ(b.receive().status(), Status::misuse);
  EXPECT_EQ(b.try_receive().status(), Status::misuse);
  EXPECT_EQ(b.receive_for(1h).status(), Status::misuse);
  EXPECT_EQ(b.replay_from(1), Status::misuse);
  Port moved = std::move(b);
  EXPECT_EQ(moved.receive().status(), Status::misuse);
  EXPECT_EQ(AnyPort::borrow(moved).try_receive().status(), Status::misuse);
}

TEST_F(ReceivingTwice, IsRefusedInsideAHandlerOfRun) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message("one"), Status::ok);
  ASSERT_EQ(a.post_message("two"), Status::ok);
  a.close();
  Texts got;
  b.on_message([&, &b = b](std::string_view text) {
    got.emplace_back(text);
    EXPECT_EQ(b.receive().status(), Status::misuse);
  });
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_EQ(got, (Texts{"one", "two"}));
  EXPECT_EQ(b.receive().status(), Status::misuse);
}

/// Waits until the thread sleeps in the kernel.
void wait_until_asleep(pid_t thread) {
  std::string state;
  while (state != "S") {
    std::this_thread::sleep_for(1ms);
    std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string skipped;
    stat >> skipped >> skipped >> state;
  }
}

TEST_F(ReceivingTwice, MakesStartFailWhileAThreadWaitsOrAMessageIsHeld) {
  auto [a, b] = make_port_pair();
  std::promise<pid_t> id;
  std::thread receiver([&, &b = b] {
    id.set_value(::gettid());
    EXPECT_EQ(b.receive().text(), "waited for");
  });
  wait_until_asleep(id.get_future().get());
  const auto refused = [&b = b] { return throws(errc::misuse, "start()", [&] { b.start(); }); };
  EXPECT_TRUE(refused());
  EXPECT_TRUE(b.can_receive());
  ASSERT_EQ(a.post_message("waited for"), Status::ok);
  receiver.join();

  ASSERT_EQ(a.post_message("held"), Status::ok);
  Message held = b.receive();
  EXPECT_TRUE(refused());
  EXPECT_TRUE(throws(errc::misuse, "run()", [&b = b] { (void)b.run(); }));
  EXPECT_EQ(held.text(), "held");
  held.release();
  b.start();
  b.start();
}

TEST_F(ReceivingTwice, IsRefusedByPortsOverDescriptorsToo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  NativePort a = wrap_native_port(Descriptor(ends[0]));
  NativePort b = wrap_native_port(Descriptor(ends[1]));
  std::promise<pid_t> id;
  std::thread receiver([&] {
    id.set_value(::gettid());
    EXPECT_EQ(b.receive().text(), "waited for");
  });
  wait_until_asleep(id.get_future().get());
  EXPECT_TRUE(throws(errc::misuse, "start()", [&] { b.start(); }));
  ASSERT_EQ(a.post_message("waited for"), Status::ok);
  receiver.join();
  b.start();
  EXPECT_EQ(b.receive().status(), Status::misuse);
  EXPECT_EQ(b.try_receive().status(), Status::misuse);
}

/// Calls drawn from a seed, beside a list of what has to arrive.
class RandomCalls {
 public:
  explicit RandomCalls(std::uint64_t seed) : random_(seed) {
    const PortOptions options{.ring_bytes = 4096U << random_() % 3,
                              .replay_window_bytes = random_() % 2 * 1024};
    std::tie(a_, b_) = make_port_pair(options);
  }

  void run(int calls) {
    for (int i = 0; i < calls && !::testing::Test::HasFailure(); ++i) call(random_() % 20);
    end();
  }

 private:
  void call(std::uint64_t which) {
    const std::string text = new_text();
    const bool fits = text.size() <= a_.max_message_bytes();
    switch (which) {
      case 0:
      case 1:
        return sent(a_.try_post_message(text), text, fits, true);
      case 2:
        return sent(
            a_.post_parts_until(std::as_bytes(std::span(text).first(text.size() / 3)),
                                std::as_bytes(std::span(text).subspan(text.size() / 3)), Deadline::min()),
            text, fits, true);
      case 3:
      case 4:
        return append(text, fits);
      case 5:
        return sent(a_.post_message_for(text, 0s), text, fits, true);
      case 6:
      case 7:
        return take_claim(text, fits);
      case 8:
      case 9:
      case 10:
        return commit(random_() % 4 == 0);
      case 11:
        return claim_.abort();
      case 12:
        a_.publish();
        return publish();
      case 13:
        (void)a_.wait_until_consumed(Deadline::min());
        return publish();
      case 14: {
        Claim moved = std::move(claim_);
        claim_ = std::move(moved);
        Port port = std::move(a_);
        a_ = std::move(port);
        return;
      }
      case 15:
        return scribble();
      default:
        return receive(random_() % 4);
    }
  }

  bool claim_open() const { return claim_.status() == Status::ok; }

  /// After a call that sends.
  void sent(Status status, const std::string& text, bool fits, bool published) {
    if (claim_open() && fits) {
      EXPECT_EQ(status, Status::misuse);
      return;
    }
    if (status == Status::ok) {
      EXPECT_TRUE(fits);
      appended_.push_back(text);
      if (published) publish();
    } else if (status == Status::too_large) {
      EXPECT_FALSE(fits);
    } else {
      not_sent(status);
    }
  }

  /// No room. Who waits for it publishes what was appended.
  void not_sent(Status status) {
    EXPECT_TRUE(status == Status::would_block || status == Status::timed_out) << to_string(status);
    if (status == Status::timed_out) publish();
  }

  void append(const std::string& text, bool fits) {
    // It would wait for ever if there were no room: nobody reads meanwhile.
    if (fits && !claim_open() && !a_.try_claim(text.size())) return;
    sent(a_.append_message(text), text, fits, false);
  }

  void take_claim(const std::string& text, bool fits) {
    Claim next = random_() % 2 == 0 ? a_.try_claim(text.size()) : a_.claim_for(text.size(), 0s);
    if (claim_open() && fits) {
      EXPECT_EQ(next.status(), Status::misuse);
      return;
    }
    if (next.status() == Status::too_large) {
      EXPECT_FALSE(fits);
      return;
    }
    if (!next) return not_sent(next.status());
    EXPECT_EQ(next.bytes().size(), text.size());
    claim_ = std::move(next);
    scribble();
  }

  /// Writes into all the room of the open claim.
  void scribble() {
    if (!claim_open()) return;
    claimed_ = new_text();
    claimed_.resize(claim_.bytes().size(), '*');
    std::memcpy(claim_.bytes().data(), claimed_.data(), claimed_.size());
  }

  void commit(bool append) {
    const bool open = claim_open();
    const std::size_t room = claim_.bytes().size();
    const std::size_t count = random_() % (room + 2);
    const Status status = append ? claim_.append(count) : claim_.commit(count);
    if (!open || count > room) {
      EXPECT_EQ(status, !open ? claim_.status() : Status::too_large);
      EXPECT_NE(status, Status::ok);
      return;
    }
    EXPECT_EQ(status, Status::ok);
    appended_.push_back(claimed_.substr(0, count));
    if (!append) publish();
  }

  void publish() {
    std::ranges::move(appended_, std::back_inserter(under_way_));
    appended_.clear();
  }

  void receive(std::uint64_t most) {
    for (std::uint64_t i = 0; i < most; ++i) {
      const Message message = b_.try_receive();
      if (!message) {
        EXPECT_EQ(message.status(), Status::would_block);
        EXPECT_TRUE(under_way_.empty());
        return;
      }
      check(message);
    }
  }

  void check(const Message& message) {
    ASSERT_FALSE(under_way_.empty()) << "nothing was published: " << message.text();
    EXPECT_EQ(message.text(), under_way_.front());
    EXPECT_EQ(message.sequence(), ++received_);
    under_way_.pop_front();
  }

  void end() {
    if (random_() % 2 == 0) {
      a_.close();
      EXPECT_NE(claim_.commit(), Status::ok);
    } else {
      a_ = Port();
    }
    publish();
    while (const Message message = b_.receive()) check(message);
    EXPECT_TRUE(under_way_.empty()) << "lost: " << under_way_.front();
  }

  std::string new_text() {
    constexpr std::size_t kTooLarge = 20000;
    const std::uint64_t kind = random_() % 64;
    const std::size_t size = kind == 0  ? kTooLarge
                             : kind < 4 ? 0
                             : kind < 8 ? random_() % 1500
                                        : random_() % 100;
    std::string text = std::to_string(++texts_);
    text.resize(size, static_cast<char>('a' + texts_ % 26));
    return text;
  }

  std::mt19937_64 random_;
  Port a_;
  Port b_;
  Claim claim_;
  std::string claimed_;
  std::deque<std::string> appended_;   // said ok, not visible yet
  std::deque<std::string> under_way_;  // visible, not received yet
  std::uint64_t received_ = 0;
  std::uint64_t texts_ = 0;
};

TEST(RandomCalls, LoseDoubleAndAlterNothing) {
  const test::Watchdog watchdog(300s, "calls in random order");
  const std::uint64_t first = std::random_device{}();
  for (std::uint64_t seed = first; seed < first + 300 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomCalls(seed).run(400);
  }
}

}  // namespace
}  // namespace sluice
