// Delivery alone: a source of messages that the test fills by hand.
#include "delivery.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "running_threads.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::ipc {
namespace {

using namespace std::chrono_literals;
using test::throws;

/// Messages, then an end.
class Source final : public DeliverySource {
 public:
  void add(std::string message) {
    const std::scoped_lock lock(mutex_);
    messages_.push_back(std::move(message));
    changed_.notify_all();
  }
  void end(Status reason) {
    const std::scoped_lock lock(mutex_);
    end_ = reason;
    changed_.notify_all();
  }
  /// As a port that is closed on this side, which keeps what it has.
  void close_here() {
    {
      const std::scoped_lock lock(mutex_);
      messages_.clear();
    }
    end(Status::closed);
  }
  int released() const { return released_; }

  Status wait_for_message() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !messages_.empty() || end_ != Status::ok; });
    return messages_.empty() ? end_ : Status::ok;
  }
  Status deliver_messages(Delivery& delivery) override {
    return delivery.call_handler_for_each_message(*this);
  }
  ReadResult next_message() {
    const std::scoped_lock lock(mutex_);
    if (messages_.empty()) return {end_ == Status::ok ? Status::would_block : end_, {}};
    present_ = std::move(messages_.front());
    messages_.pop_front();
    return {Status::ok, {std::as_bytes(std::span(present_)), ++sequence_}};
  }
  void release(ring::Sequence sequence) noexcept {
    EXPECT_EQ(sequence, sequence_);
    ++released_;
  }
  std::string failure_text() const override { return failure_; }
  void note_failure(std::string text) override { failure_ = std::move(text); }
  void close() noexcept override { end(Status::closed); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> messages_;
  Status end_ = Status::ok;
  // The delivering thread's.
  std::string failure_ = "the source is broken";
  std::string present_;
  ring::Sequence sequence_ = 0;
  std::atomic<int> released_ = 0;
};

class DeliveryTest : public ::testing::Test {
 protected:
  /// Collects what the handlers are told.
  void log_everything(Delivery& delivery) {
    delivery.on_message([this](std::string_view text) { log_.emplace_back(text); });
    delivery.on_error([this](const PortError& error) { log_.push_back("error: " + error.text); });
    delivery.on_close([this](Status reason) { log_.emplace_back(to_string(reason)); });
  }

  const test::Watchdog watchdog_{60s, "a delivery"};
  const std::shared_ptr<Source> source_ = std::make_shared<Source>();
  std::vector<std::string> log_;
};

TEST_F(DeliveryTest, DeliversEveryMessageInOrderAndThenTheEnd) {
  Delivery delivery(*source_, {});
  log_everything(delivery);
  source_->add("one");
  source_->add("two");
  source_->end(Status::peer_died);
  EXPECT_EQ(delivery.run(), Status::peer_died);
  EXPECT_EQ(log_, (std::vector<std::string>{"one", "two", "peer died"}));
  EXPECT_EQ(source_->released(), 2);
}

TEST_F(DeliveryTest, SaysInWordsWhyAPortBroke) {
  Delivery delivery(*source_, {});
  log_everything(delivery);
  source_->end(Status::broken);
  EXPECT_EQ(delivery.run(), Status::broken);
  EXPECT_EQ(log_, (std::vector<std::string>{"error: the source is broken", "broken by the peer"}));
}

TEST_F(DeliveryTest, KeepsMessagesUntilAHandlerIsSet) {
  Delivery delivery(*source_, {});
  source_->add("kept");
  delivery.start(source_);
  std::this_thread::sleep_for(20ms);  // right in any case; this lets the thread wait for a handler
  EXPECT_EQ(source_->released(), 0);
  std::promise<std::string> got;
  delivery.on_message([&](std::string_view text) { got.set_value(std::string(text)); });
  EXPECT_EQ(got.get_future().get(), "kept");
  source_->end(Status::closed);
}

TEST_F(DeliveryTest, WaitsForNoHandlerOnceThePortWasClosedHere) {
  Delivery delivery(*source_, {});
  std::promise<Status> ended;
  delivery.on_close([&](Status reason) { ended.set_value(reason); });
  source_->add("never handled");
  delivery.start(source_);
  std::this_thread::sleep_for(20ms);  // right in any case; this lets the thread wait for a handler
  source_->close_here();
  delivery.interrupt();
  EXPECT_EQ(ended.get_future().get(), Status::closed);
  EXPECT_EQ(source_->released(), 0);
}

TEST_F(DeliveryTest, ReportsWhatAHandlerThrowsAndGoesOn) {
  Delivery delivery(*source_, {});
  log_everything(delivery);
  delivery.on_message([this](std::string_view text) {
    if (text == "bad") throw std::runtime_error("no such thing");
    if (text == "worse") throw 1;
    log_.emplace_back(text);
  });
  for (const char* const text : {"bad", "worse", "good"}) source_->add(text);
  source_->end(Status::closed);
  EXPECT_EQ(delivery.run(), Status::closed);
  EXPECT_EQ(log_,
            (std::vector<std::string>{
                "error: a message handler threw: no such thing",
                "error: a message handler threw: an exception that is no std::exception", "good", "closed"}));
}

TEST_F(DeliveryTest, ReleasesAMessageAtWhichTheHandlerThrowsIfThatWasTaken) {
  Delivery delivery(*source_, {});
  delivery.on_message([](std::string_view) { throw std::runtime_error("no such thing"); });
  source_->add("one");
  EXPECT_THROW((void)delivery.run(), std::runtime_error);
  EXPECT_EQ(source_->released(), 0);
  delivery.on_error([](const PortError& error) { EXPECT_EQ(error.status, Status::handler_failed); });
  source_->add("two");
  source_->end(Status::closed);
  EXPECT_EQ(delivery.run(), Status::closed);
  EXPECT_EQ(source_->released(), 1)
      << "the first goes with the next one read, which is the source's business";
}

TEST_F(DeliveryTest, RunsEverythingThroughTheExecutorInOrder) {
  std::vector<std::thread::id> ran_on;
  Delivery delivery(*source_, [&](const std::function<void()>& work) {
    std::thread runner([&] {
      ran_on.push_back(std::this_thread::get_id());
      work();
    });
    runner.join();
  });
  log_everything(delivery);
  source_->add("one");
  source_->end(Status::closed);
  EXPECT_EQ(delivery.run(), Status::closed);
  EXPECT_EQ(log_, (std::vector<std::string>{"one", "closed"}));
  ASSERT_GE(ran_on.size(), 2U);
  for (const std::thread::id& id : ran_on) EXPECT_NE(id, std::this_thread::get_id());
}

TEST_F(DeliveryTest, EndsWhenTheExecutorThrowsWorkAway) {
  int thrown_away = 0;
  Delivery delivery(*source_, [&](const std::function<void()>&) { ++thrown_away; });
  log_everything(delivery);
  source_->add("lost");
  EXPECT_EQ(delivery.run(), Status::closed);
  EXPECT_EQ(thrown_away, 1);
  EXPECT_TRUE(log_.empty());
}

TEST_F(DeliveryTest, BeginsNoHandlerAfterFinishWasCalledInsideOne) {
  Delivery delivery(*source_, {});
  log_everything(delivery);
  delivery.on_message([&](std::string_view text) {
    log_.emplace_back(text);
    source_->close_here();
    delivery.finish();
  });
  source_->add("last");
  source_->add("never");
  EXPECT_EQ(delivery.run(), Status::closed);
  EXPECT_EQ(log_, std::vector<std::string>{"last"});
}

TEST_F(DeliveryTest, HasOneDelivererAtATime) {
  Delivery delivery(*source_, {});
  EXPECT_FALSE(delivery.started());
  delivery.start(source_);
  EXPECT_TRUE(delivery.started());
  delivery.start(source_);
  EXPECT_TRUE(test::threads_become("sluice-deliver", 1));
  EXPECT_TRUE(throws(errc::misuse, "run()", [&] { (void)delivery.run(); }));
  source_->end(Status::closed);
}

TEST_F(DeliveryTest, WaitsUntilItIsOverForEveryoneButItself) {
  Delivery delivery(*source_, {});
  std::atomic<Status> reason = Status::ok;
  const auto why = [&] { return reason.load(); };
  EXPECT_EQ(delivery.wait_until_over(deadline_in(1ms), why), Status::timed_out);
  std::atomic<bool> handled = false;
  bool refused = false;
  delivery.on_message([&](std::string_view) {
    refused =
        throws(errc::misuse, "wait_closed()", [&] { (void)delivery.wait_until_over(kNoDeadline, why); });
    std::this_thread::sleep_for(20ms);  // right in any case; this lets the wait end too early
    handled = true;
  });
  source_->add("one");
  delivery.start(source_);
  source_->end(Status::peer_died);
  reason.store(Status::closed);
  delivery.notice_end();
  EXPECT_EQ(delivery.wait_until_over(kNoDeadline, why), Status::peer_died) << "what the handlers were told";
  EXPECT_TRUE(handled);
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace sluice::ipc
