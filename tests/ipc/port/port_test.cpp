// A port between two ends of one process: messages, claims, batches, handlers, ends.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "running_threads.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::throws;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Collects what handlers report; waiting has a deadline.
class Log {
 public:
  void add(std::string line) {
    const std::scoped_lock lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();  // under the lock: who sees the line may destroy this
  }

  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 20s, [&] { return lines_.size() >= count; });
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

TEST(Port, DeliversMessagesOfEverySizeFromNothingToTheLargest) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  EXPECT_GE(a.max_message_bytes(), 2048U);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8},
                                 std::size_t{2048}, static_cast<std::size_t>(a.max_message_bytes())}) {
    const std::string sent(size, static_cast<char>('a' + size % 26));
    ASSERT_EQ(a.post_message(bytes_of(sent)), Status::ok);
    const Message message = b.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(text_of(message.bytes()), sent);
  }
}

TEST(Port, PostsTwoPartsAsOneMessage) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  const auto part = [](std::size_t size, char first) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(first + static_cast<int>(i % 23));
    return bytes;
  };
  const auto post = [&sender = a, &part](std::size_t head, std::size_t body, Deadline deadline) {
    return sender.post_parts_until(bytes_of(part(head, 'a')), bytes_of(part(body, 'A')), deadline);
  };
  std::uint64_t sequence = 0;
  for (const std::size_t head : {0U, 1U, 5U, 9U, 64U, 65U}) {
    for (const std::size_t body : {0U, 7U, 51U, 59U, 64U, 1000U}) {
      for (const bool in_batch : {false, true}) {
        if (in_batch) {
          ASSERT_EQ(a.append_message(bytes_of("first of a batch")), Status::ok);
        }
        ASSERT_EQ(post(head, body, kNoDeadline), Status::ok);
        if (in_batch) {
          EXPECT_EQ(b.receive().sequence(), ++sequence);
        }
        const Message message = b.receive();
        EXPECT_EQ(text_of(message.bytes()), part(head, 'a') + part(body, 'A'));
        EXPECT_EQ(message.sequence(), ++sequence);
      }
    }
  }
  const std::size_t most = a.max_message_bytes();
  EXPECT_EQ(post(5, most - 4, kNoDeadline), Status::too_large);
  EXPECT_NE(a.failure_text().find(std::to_string(most + 1)), std::string::npos);
  while (post(5, 500, deadline_in(0s)) == Status::ok) {
  }
  EXPECT_EQ(post(5, 500, deadline_in(1ms)), Status::timed_out);
  (void)b.receive();
  (void)b.receive();
  EXPECT_EQ(post(5, 500, deadline_in(20s)), Status::ok);
}

TEST(Port, RefusesAMessageThatIsTooLargeWithItsSizeAndTheLimit) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  const std::string large(a.max_message_bytes() + 1, 'x');
  EXPECT_EQ(a.post_message(bytes_of(large)), Status::too_large);
  EXPECT_NE(a.failure_text().find(std::to_string(large.size())), std::string::npos);
  EXPECT_NE(a.failure_text().find(std::to_string(a.max_message_bytes())), std::string::npos);
  EXPECT_TRUE(a.is_open());
  EXPECT_EQ(a.post_message(bytes_of("still works")), Status::ok);
  EXPECT_EQ(text_of(b.receive().bytes()), "still works");
}

TEST(Port, KeepsAMessageReadableUntilItIsReleased) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message(bytes_of("first")), Status::ok);
  ASSERT_EQ(a.post_message(bytes_of("second")), Status::ok);
  Message message = b.receive();
  EXPECT_EQ(message.sequence(), 1U);
  EXPECT_EQ(a.wait_until_consumed(deadline_in(0s)), Status::timed_out);
  message = b.receive();
  EXPECT_EQ(text_of(message.bytes()), "second");
  EXPECT_EQ(message.sequence(), 2U);
  message.release();
  EXPECT_EQ(a.wait_until_consumed(deadline_in(10s)), Status::ok);
}

TEST(Port, WritesAClaimInPlaceAndShorterThanClaimed) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(100);
  ASSERT_TRUE(claim);
  std::memcpy(claim.bytes().data(), "in place", 8);
  EXPECT_EQ(claim.commit(101), Status::too_large);
  EXPECT_EQ(claim.commit(8), Status::ok);
  EXPECT_EQ(text_of(b.receive().bytes()), "in place");
}

TEST(Port, PostsAMovedClaimOnce) {
  auto [a, b] = make_port_pair();
  Claim claim = a.claim(4);
  std::memcpy(claim.bytes().data(), "once", 4);
  Claim moved = std::move(claim);
  // It has no room any more. NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-cplusplus.Move)
  EXPECT_EQ(claim.commit(), Status::closed);
  EXPECT_EQ(moved.commit(), Status::ok);
  EXPECT_EQ(text_of(b.receive().bytes()), "once");
  EXPECT_EQ(b.try_receive().status(), Status::would_block);
}

TEST(Port, ShowsNothingOfAnAbortedClaim) {
  auto [a, b] = make_port_pair();
  {
    Claim claim = a.claim(100);
    std::memset(claim.bytes().data(), 0xff, 100);
  }
  EXPECT_EQ(b.try_receive().status(), Status::would_block);
  ASSERT_EQ(a.post_message(bytes_of("after")), Status::ok);
  EXPECT_EQ(text_of(b.receive().bytes()), "after");
}

TEST(Port, ShowsABatchOnlyOncePublished) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.append_message(bytes_of("one")), Status::ok);
  ASSERT_EQ(a.append_message(bytes_of("two")), Status::ok);
  EXPECT_EQ(b.try_receive().status(), Status::would_block);
  a.publish();
  EXPECT_EQ(text_of(b.receive().bytes()), "one");
  EXPECT_EQ(text_of(b.receive().bytes()), "two");
}

TEST(Port, PublishesABatchThatFillsTheRingWhileItWaitsForRoom) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  std::thread reader([&b = b] {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(text_of(b.receive().bytes()), std::to_string(i));
  });
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(a.append_message(bytes_of(std::to_string(i))), Status::ok);
  a.publish();
  reader.join();
}

TEST(Port, SaysWouldBlockAndTimedOutWhereItMustNotWaitLonger) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  EXPECT_EQ(b.try_receive().status(), Status::would_block);
  EXPECT_EQ(b.receive_for(1ms).status(), Status::timed_out);
  Status status = Status::ok;
  while (status == Status::ok) status = a.try_post_message(bytes_of(std::string(500, 'x')));
  EXPECT_EQ(status, Status::would_block);
  EXPECT_EQ(a.post_message_for(bytes_of(std::string(500, 'x')), 1ms), Status::timed_out);
  EXPECT_EQ(a.try_claim(500).status(), Status::would_block);
}

TEST(Port, WaitsAsLongAsItTakesForTheLargestTimeoutOfAnyUnit) {
  const test::Watchdog watchdog(60s, "waits without end");
  auto [a, b] = make_port_pair();
  std::thread later([&port = a] {
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(20ms);
      EXPECT_EQ(port.post_message({}), Status::ok);
    }
  });
  EXPECT_EQ(b.receive_for(std::chrono::hours::max()).status(), Status::ok);
  EXPECT_EQ(b.receive_for(std::chrono::milliseconds::max()).status(), Status::ok);
  EXPECT_EQ(b.receive_for(std::chrono::nanoseconds::max()).status(), Status::ok);
  EXPECT_EQ(b.receive_for(std::chrono::hours::min()).status(), Status::timed_out);
  later.join();
}

TEST(Port, NeverWaitsUnderTheNonBlockingStrategy) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096, .wait = {.strategy = WaitStrategy::non_blocking}},
                               {.wait = {.strategy = WaitStrategy::non_blocking}});
  EXPECT_EQ(b.receive().status(), Status::would_block);
  Status status = Status::ok;
  while (status == Status::ok) status = a.post_message(bytes_of(std::string(500, 'x')));
  EXPECT_EQ(status, Status::would_block);
  EXPECT_TRUE(throws(errc::misuse, "non_blocking", [&port = b] { port.start(); }));
}

TEST(Port, DeliversToTheHandlerAndThenReportsTheClose) {
  Log log;
  auto [a, b] = make_port_pair();
  b.on_message([&](std::span<const std::byte> message) { log.add(text_of(message)); });
  b.on_close([&](Status reason) { log.add(std::string(to_string(reason))); });
  ASSERT_EQ(a.post_message(bytes_of("before start")), Status::ok);
  b.start();
  ASSERT_EQ(a.post_message(bytes_of("after start")), Status::ok);
  a.close();
  EXPECT_EQ(log.wait_for(3), (std::vector<std::string>{"before start", "after start", "closed"}));
  EXPECT_FALSE(a.is_open());
  EXPECT_EQ(a.post_message(bytes_of("late")), Status::closed);
  EXPECT_EQ(b.post_message(bytes_of("late")), Status::closed);
}

TEST(Port, KeepsMessagesWhileNoHandlerIsSet) {
  Log log;
  auto [a, b] = make_port_pair();
  b.start();
  ASSERT_EQ(a.post_message(bytes_of("kept")), Status::ok);
  b.on_message([&](std::span<const std::byte> message) { log.add(text_of(message)); });
  EXPECT_EQ(log.wait_for(1), std::vector<std::string>{"kept"});
}

TEST(Port, GivesTheReplacedHandlerBack) {
  Log log;
  auto [a, b] = make_port_pair();
  b.on_message([&](std::span<const std::byte>) { log.add("first"); });
  b.start();
  ASSERT_EQ(a.post_message({}), Status::ok);
  log.wait_for(1);
  MessageHandler first = b.on_message([&](std::span<const std::byte>) { log.add("second"); });
  ASSERT_EQ(a.post_message({}), Status::ok);
  log.wait_for(2);
  EXPECT_TRUE(b.on_message(std::move(first)));
  ASSERT_EQ(a.post_message({}), Status::ok);
  EXPECT_EQ(log.wait_for(3), (std::vector<std::string>{"first", "second", "first"}));
}

TEST(Port, ReplacesAHandlerOnlyOnceItHasReturned) {
  auto [a, b] = make_port_pair();
  std::atomic<bool> inside = false;
  std::atomic<bool> returned = false;
  b.on_message([&](std::span<const std::byte>) {
    inside = true;
    std::this_thread::sleep_for(
        50ms);  // long enough for the replacement to come meanwhile; right in any case
    returned = true;
  });
  b.start();
  ASSERT_EQ(a.post_message({}), Status::ok);
  while (!inside) std::this_thread::yield();
  b.on_message({});
  EXPECT_TRUE(returned);
}

TEST(Port, LetsAHandlerReplaceItselfAndCloseThePort) {
  Log log;
  auto [a, b] = make_port_pair();
  b.on_close([&](Status reason) { log.add(std::string(to_string(reason))); });
  b.on_message(
      [&log, &port = b, tag = std::string("first, with state of its own")](std::span<const std::byte>) {
        port.on_message([&](std::span<const std::byte>) {
          log.add("second");
          port.close();
        });
        log.add(tag);
      });
  b.start();
  ASSERT_EQ(a.post_message({}), Status::ok);
  ASSERT_EQ(a.post_message({}), Status::ok);
  EXPECT_EQ(log.wait_for(3), (std::vector<std::string>{"first, with state of its own", "second", "closed"}));
}

TEST(Port, ReplacesAHandlerFromInsideAndOutsideAtOnce) {
  const test::Watchdog watchdog(60s, "replacing a handler from inside and outside at once");
  auto [a, b] = make_port_pair();
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> inside = false;
    std::atomic<bool> replacing = false;
    b.on_message([&, &port = b](std::span<const std::byte>) {
      inside = true;
      while (!replacing) std::this_thread::yield();
      std::this_thread::sleep_for(1ms);  // either order is right; this lets the other thread go first
      port.on_message([](std::span<const std::byte>) {});
    });
    b.start();
    ASSERT_EQ(a.post_message({}), Status::ok);
    while (!inside) std::this_thread::yield();
    replacing = true;
    b.on_message({});
  }
}

TEST(Port, CallsNoHandlerOnceItWasDestroyedInsideOne) {
  Log log;
  auto [a, other] = make_port_pair();
  auto b = std::make_unique<Port>(std::move(other));
  b->on_message([&](std::span<const std::byte> message) {
    b.reset();
    log.add(text_of(message));
  });
  // Its captures go with the port's last thread: that is the sign that nothing more can come.
  auto alive = std::make_shared<int>(0);
  const std::weak_ptr<int> witness = alive;
  b->on_close([&log, alive = std::move(alive)](Status) { log.add("closed"); });
  ASSERT_EQ(a.post_message(bytes_of("first")), Status::ok);
  ASSERT_EQ(a.post_message(bytes_of("second")), Status::ok);
  b->start();
  const auto deadline = deadline_in(20s);
  while (!witness.expired() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(witness.expired());
  EXPECT_EQ(log.wait_for(1), std::vector<std::string>{"first"});
}

TEST(Port, MayBeDestroyedInsideAHandlerWhileStartStillRuns) {
  for (int round = 0; round < 200; ++round) {
    auto [a, other] = make_port_pair({.ring_bytes = 4096}, {.ring_bytes = 4096});
    auto* b = new Port(std::move(other));
    std::promise<void> destroyed;
    b->on_message([&, b](std::span<const std::byte>) {
      delete b;
      destroyed.set_value();
    });
    ASSERT_EQ(a.post_message({}), Status::ok);
    b->start();
    destroyed.get_future().wait();
  }
}

TEST(Port, MayBeDestroyedInsideItsOwnHandler) {
  Log log;
  auto ports = std::make_unique<std::pair<Port, Port>>(make_port_pair());
  auto b = std::make_unique<Port>(std::move(ports->second));
  Port* raw = b.get();
  raw->on_message(
      [&log, b = std::make_shared<std::unique_ptr<Port>>(std::move(b))](std::span<const std::byte>) {
        b->reset();
        log.add("destroyed");
      });
  raw->start();
  ASSERT_EQ(ports->first.post_message({}), Status::ok);
  EXPECT_EQ(log.wait_for(1), std::vector<std::string>{"destroyed"});
  EXPECT_EQ(ports->first.receive().status(), Status::closed);
}

TEST(Port, ReportsAnExceptionOfTheHandlerAndGoesOn) {
  Log log;
  auto [a, b] = make_port_pair();
  b.on_error([&](const PortError& error) { log.add(error.text); });
  b.on_message([&](std::span<const std::byte> message) {
    if (message.empty()) throw std::runtime_error("no content");
    log.add(text_of(message));
  });
  b.start();
  ASSERT_EQ(a.post_message({}), Status::ok);
  ASSERT_EQ(a.post_message(bytes_of("next")), Status::ok);
  const auto lines = log.wait_for(2);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("no content"), std::string::npos);
  EXPECT_EQ(lines[1], "next");
}

TEST(Port, RunsHandlersWhereTheExecutorSays) {
  Log log;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::function<void()>> work;
  PortOptions options;
  options.executor = [&](std::function<void()> piece) {
    const std::scoped_lock lock(mutex);
    work.push_back(std::move(piece));
    changed.notify_all();
  };
  auto [a, b] = make_port_pair({}, options);
  b.on_message([&](std::span<const std::byte> message) {
    log.add(text_of(message) + (std::this_thread::get_id() == std::thread::id() ? "?" : ""));
  });
  std::thread::id ran_on;
  b.on_close([&](Status) { ran_on = std::this_thread::get_id(); });
  b.start();
  ASSERT_EQ(a.post_message(bytes_of("hello")), Status::ok);
  a.close();
  while (ran_on == std::thread::id()) {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 20s, [&] { return !work.empty(); }));
    const auto piece = std::move(work.front());
    work.erase(work.begin());
    lock.unlock();
    piece();
  }
  EXPECT_EQ(ran_on, std::this_thread::get_id());
  EXPECT_EQ(log.wait_for(1), std::vector<std::string>{"hello"});
}

/// An executor of a thread of its own, such as an event loop.
class Loop {
 public:
  ~Loop() {
    run([this] { over_ = true; });
    thread_.join();
  }

  void run(std::function<void()> piece) {
    const std::scoped_lock lock(mutex_);
    work_.push_back(std::move(piece));
    changed_.notify_all();  // under the lock: the piece may end the life of this
  }

  /// Waits until so many pieces wait behind the one that runs.
  void wait_for_queued(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return work_.size() >= count; });
  }

  Executor executor() {
    return [this](std::function<void()> piece) { run(std::move(piece)); };
  }

 private:
  void serve() {
    while (!over_) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !work_.empty(); });
      const auto piece = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      piece();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool over_ = false;  // the loop's own
  std::thread thread_{[this] { serve(); }};
};

TEST(Port, MayBeDestroyedInsideAHandlerThatAnExecutorRuns) {
  const test::Watchdog watchdog(60s, "a port destroyed inside a handler that an executor runs");
  Loop loop;
  auto [a, other] = make_port_pair({}, {.executor = loop.executor()});
  auto b = std::make_unique<Port>(std::move(other));
  std::promise<void> destroyed;
  b->on_message([&](std::span<const std::byte>) {
    b.reset();
    destroyed.set_value();
  });
  b->start();
  ASSERT_EQ(a.post_message({}), Status::ok);
  destroyed.get_future().wait();
  EXPECT_EQ(a.receive().status(), Status::closed);
}

TEST(Port, MayBeDestroyedOnItsExecutorsThreadWhileWorkWaitsThere) {
  const test::Watchdog watchdog(60s, "a port destroyed on its executor's thread");
  Loop loop;
  auto [a, other] = make_port_pair({}, {.executor = loop.executor()});
  auto b = std::make_unique<Port>(std::move(other));
  std::atomic<int> called = 0;
  b->on_message([&](std::span<const std::byte>) { ++called; });
  b->on_close([&](Status) { ++called; });
  std::promise<void> destroyed;
  loop.run([&, &peer = a] {
    b->start();
    EXPECT_EQ(peer.post_message({}), Status::ok);
    loop.wait_for_queued(1);
    b.reset();
    destroyed.set_value();
  });
  destroyed.get_future().wait();
  std::promise<void> behind;
  loop.run([&] { behind.set_value(); });
  behind.get_future().wait();
  EXPECT_EQ(called, 0) << "a handler was called after its port was destroyed";
}

TEST(Port, DeliversNothingMoreOnceItsExecutorThrewWorkAway) {
  std::atomic<int> thrown_away = 0;
  const auto discard = [&](const std::function<void()>&) { ++thrown_away; };
  auto [a, b] = make_port_pair({}, {.executor = discard});
  b.on_message([](std::span<const std::byte>) {});
  b.start();
  ASSERT_EQ(a.post_message({}), Status::ok);
  ASSERT_TRUE(test::threads_become("sluice-deliver", 0)) << "it goes on asking";
  EXPECT_EQ(thrown_away, 1);
}

TEST(Port, CloseEndsWaitsInOtherThreads) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  while (a.try_post_message(bytes_of(std::string(500, 'x'))) == Status::ok) {
  }
  Status receiving = Status::ok;
  Status sending = Status::ok;
  std::thread receiver([&, &port = a] { receiving = port.receive().status(); });
  std::thread sender([&, &port = a] { sending = port.post_message(bytes_of(std::string(500, 'x'))); });
  std::this_thread::sleep_for(20ms);  // either order is right; this lets both fall asleep
  a.close();
  receiver.join();
  sender.join();
  EXPECT_EQ(receiving, Status::closed);
  EXPECT_EQ(sending, Status::closed);
}

TEST(Port, DeliversWhatWasPostedBeforeTheCloseAlsoToCalls) {
  auto [a, b] = make_port_pair();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(a.post_message(bytes_of(std::to_string(i))), Status::ok);
  a.close();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(text_of(b.receive().bytes()), std::to_string(i));
  EXPECT_EQ(b.receive().status(), Status::closed);
  EXPECT_EQ(b.try_receive().status(), Status::closed);
}

TEST(Port, ReplaysEarlierMessagesAndMarksThem) {
  auto [a, b] = make_port_pair();
  for (int i = 1; i <= 10; ++i) ASSERT_EQ(a.post_message(bytes_of(std::to_string(i))), Status::ok);
  for (int i = 1; i <= 10; ++i) EXPECT_FALSE(b.receive().replayed());
  ASSERT_EQ(b.replay_from(4), Status::ok);
  ASSERT_EQ(a.post_message(bytes_of("11")), Status::ok);
  for (int i = 4; i <= 11; ++i) {
    const Message message = b.receive();
    EXPECT_EQ(text_of(message.bytes()), std::to_string(i));
    EXPECT_EQ(message.replayed(), i <= 10);
  }
  EXPECT_EQ(b.replay_from(13), Status::would_block);
  ring::HistoryReader history = b.history();
  ASSERT_EQ(history.seek(2), Status::ok);
  std::vector<std::byte> payload;
  ring::Sequence sequence = 0;
  ASSERT_EQ(history.next(payload, sequence), Status::ok);
  EXPECT_EQ(text_of(payload), "2");
}

TEST(Port, ReadsBackWhatItHasSentAlsoAfterTheEnd) {
  auto [a, b] = make_port_pair({.ring_bytes = 1 << 12});
  AnyPort sender(std::move(a));
  for (int i = 1; i <= 500; ++i) {
    ASSERT_EQ(sender.post_message(bytes_of(std::to_string(i))), Status::ok);
    ASSERT_TRUE(b.receive());
  }
  sender.close();
  auto history = sender.sent_history();
  ASSERT_TRUE(history);
  EXPECT_EQ(history->capacity_bytes(), 1U << 12U);
  std::vector<std::byte> payload;
  ring::Sequence sequence = 0;
  ring::Sequence oldest = 0;
  while (history->next(payload, sequence) == Status::ok) {
    EXPECT_EQ(text_of(payload), std::to_string(sequence));
    if (oldest == 0) oldest = sequence;
  }
  EXPECT_EQ(sequence, 500U);
  EXPECT_LT(oldest, 300U);  // a message takes 16 bytes
  EXPECT_FALSE(AnyPort().sent_history());
}

TEST(Port, WorksBehindTheTypeErasedPort) {
  Log log;
  auto [a, b] = make_port_pair();
  AnyPort sender(std::move(a));
  AnyPort receiver(std::move(b));
  receiver.on_message([&](std::span<const std::byte> message) { log.add(text_of(message)); });
  receiver.start();
  EXPECT_EQ(sender.post_message(bytes_of("erased")), Status::ok);
  EXPECT_EQ(log.wait_for(1), std::vector<std::string>{"erased"});
  receiver.close();
  EXPECT_FALSE(receiver.is_open());
}

TEST(Port, RefusesOptionsOutOfRange) {
  EXPECT_TRUE(throws(errc::bad_option, "5000", [] { make_port_pair({.ring_bytes = 5000}); }));
  EXPECT_TRUE(throws(errc::bad_option, "2048", [] { make_port_pair({.ring_bytes = 2048}); }));
  EXPECT_TRUE(throws(errc::bad_option, "2147483648", [] { make_port_pair({.ring_bytes = 1ULL << 31U}); }));
  EXPECT_TRUE(throws(errc::bad_option, "4096",
                     [] { make_port_pair({.ring_bytes = 4096, .replay_window_bytes = 4096}); }));
  EXPECT_TRUE(throws(errc::bad_option, "2000000000", [] { make_port_pair({.wait = {.longest_spin = 2s}}); }));
  EXPECT_TRUE(
      throws(errc::bad_option, "got -1 ns", [] { make_port_pair({.wait = {.longest_spin = -1ns}}); }));
}

}  // namespace
}  // namespace sluice
