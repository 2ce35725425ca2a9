// A peer that writes nonsense into its own region gets a named refusal; nothing of ours is harmed.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ring_pair.hpp"
#include "watchdog.hpp"

namespace sluice::ring::testing {
namespace {

using namespace std::chrono_literals;

std::atomic_ref<std::uint64_t> word_at(const OwnView& region, Position position) {
  return std::atomic_ref<std::uint64_t>(
      *reinterpret_cast<std::uint64_t*>(region.data + (position & (region.header.capacity - 1))));
}

const WaitOptions kSleep{.strategy = WaitStrategy::sleep};

class HostileProducer : public ::testing::Test {
 protected:
  /// Publishes whatever header word the test wants, at the first position.
  void expect_refusal(std::uint64_t header, const std::string& rule) {
    const RingPair pair({.capacity = 4096, .wait = kSleep});
    const auto consumer = pair.consumer();
    word_at(pair.a(), 0).store(header);
    Record record;
    EXPECT_EQ(consumer->try_read(record), Status::broken);
    EXPECT_NE(consumer->failure().to_string().find(rule), std::string::npos)
        << consumer->failure().to_string();
    EXPECT_EQ(consumer->try_read(record), Status::broken) << "it stays broken";
  }

  /// Claims this tail while no record is there.
  void expect_tail_refused(Position tail, const std::string& rule) {
    const RingPair pair({.capacity = 4096, .first_position = 4096, .wait = kSleep});
    const auto consumer = pair.consumer();
    pair.a().control->tail.tail.store(tail);
    EXPECT_EQ(consumer->wait_for_record(deadline_in(10s)), Status::broken);
    EXPECT_NE(consumer->failure().to_string().find(rule), std::string::npos)
        << consumer->failure().to_string();
  }
};

TEST_F(HostileProducer, IsRefusedForALengthAboveTheLargest) {
  expect_refusal(make_header(max_payload_bytes(4096, 0) + 1, 1), "largest");
  expect_refusal(make_header(0x3fff'ffff, 1), "largest");
}

TEST_F(HostileProducer, IsRefusedForAHeaderOfAllOnes) {
  expect_refusal(~0ULL, "sequence");
}

TEST_F(HostileProducer, IsRefusedForAHeaderWithoutThePublishedBit) {
  expect_refusal(make_header(8, 1) & ~std::uint64_t{kPublishedBit}, "published bit");
  expect_refusal(1, "published bit");
}

TEST_F(HostileProducer, IsRefusedForAReservedBit) {
  expect_refusal(make_header(8, 1) | (1ULL << 30U), "largest");
}

TEST_F(HostileProducer, IsRefusedForAWrongSequenceNumber) {
  expect_refusal(make_header(8, 2), "sequence");
  expect_refusal(make_header(8, 0), "sequence");
}

TEST_F(HostileProducer, IsRefusedForATailBeyondItsRecords) {
  expect_tail_refused(4104, "ahead");
  expect_tail_refused(4096 + (1ULL << 40U), "ahead");
}

TEST_F(HostileProducer, IsRefusedForATailThatMovesBackwards) {
  expect_tail_refused(4088, "backwards");
}

TEST_F(HostileProducer, CantMakeAWaitOutlastItsDeadline) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto consumer = pair.consumer();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(consumer->wait_for_record(deadline_in(5ms)), Status::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

class HostileConsumer : public ::testing::Test {
 protected:
  void expect_refusal(Position released, const std::string& rule) {
    const RingPair pair({.capacity = 4096, .first_position = 4096, .wait = kSleep});
    const auto producer = pair.producer();
    publish_one(*producer);
    pair.b().control->release.released.store(released);
    EXPECT_EQ(producer->wait_until_consumed(deadline_in(10s)), Status::broken);
    EXPECT_NE(producer->failure().to_string().find(rule), std::string::npos)
        << producer->failure().to_string();
  }

  static void publish_one(Producer& producer) {
    std::span<std::byte> room;
    ASSERT_EQ(producer.try_claim(100, room), Status::ok);
    ASSERT_EQ(producer.commit(100), Status::ok);
    producer.publish();
  }
};

TEST_F(HostileConsumer, IsRefusedForReleasingMoreThanWasPublished) {
  expect_refusal(4096 + 120, "ahead of the tail");
  expect_refusal(4096 + (1ULL << 40U), "ahead of the tail");
}

TEST_F(HostileConsumer, IsRefusedForReleasingBackwards) {
  expect_refusal(4088, "backwards");
}

TEST_F(HostileConsumer, IsRefusedForAPositionThatIsNoMultipleOfEight) {
  expect_refusal(4100, "multiple of 8");
}

/// The peer's wait word: it says all the time that somebody sleeps for what comes next, or nearly.
class LyingSleeper {
 public:
  LyingSleeper(std::atomic<Position>& wait_position, const std::atomic<Position>& published)
      : thread_([this, &wait_position, &published] {
          for (Position lie = 0; !stop_; ++lie) wait_position.store(published.load() + lie % 3 * 8 - 8);
        }) {}
  LyingSleeper(const LyingSleeper&) = delete;
  LyingSleeper& operator=(const LyingSleeper&) = delete;
  ~LyingSleeper() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

constexpr std::uint64_t kWakeUps = 200;

TEST_F(HostileConsumer, CostsAtMostOneWakeUpAPublication) {
  const test::Watchdog watchdog(60s, "publications to a liar");
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  const LyingSleeper liar(pair.b().control->consumer_wait.wait_position, pair.a().control->tail.tail);
  Record record;
  while (producer->wake_count() < kWakeUps) {
    const std::uint64_t before = producer->wake_count();
    publish_one(*producer);
    ASSERT_LE(producer->wake_count(), before + 1);
    ASSERT_EQ(consumer->try_read(record), Status::ok);
    consumer->release();
    std::this_thread::yield();  // the liar's turn, if there is one CPU
  }
}

TEST_F(HostileProducer, CostsAtMostOneWakeUpARelease) {
  const test::Watchdog watchdog(60s, "releases to a liar");
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  const LyingSleeper liar(pair.a().control->producer_wait.wait_position, pair.b().control->release.released);
  Record record;
  while (consumer->wake_count() < kWakeUps) {
    ASSERT_EQ(producer->try_post({}), Status::ok);
    ASSERT_EQ(consumer->try_read(record), Status::ok);
    const std::uint64_t before = consumer->wake_count();
    consumer->release();
    ASSERT_LE(consumer->wake_count(), before + 1);
    std::this_thread::yield();
  }
}

TEST_F(HostileConsumer, ThatNeverReleasesCostsNoMoreThanTheRing) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.producer();
  std::span<std::byte> room;
  int posted = 0;
  while (producer->try_claim(100, room) == Status::ok) {
    ASSERT_EQ(producer->commit(100), Status::ok);
    producer->publish();
    ++posted;
  }
  EXPECT_LE(posted, 4096 / 108);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(producer->wait_for_room(100, deadline_in(5ms)), Status::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

}  // namespace
}  // namespace sluice::ring::testing
