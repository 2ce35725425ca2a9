// A peer that writes nonsense into its own region gets a named refusal; nothing of ours is harmed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ring_pair.hpp"

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
  EXPECT_EQ(consumer->wait_for_record(deadline_in(5ms)), Status::timed_out);
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
    producer.commit(100);
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

TEST_F(HostileConsumer, CostsAtMostOneWakeUpAPublication) {
  const RingPair pair({.capacity = 1 << 20, .wait = kSleep});
  const auto producer = pair.producer();
  std::atomic<bool> stop = false;
  std::thread liar([&] {
    std::mt19937_64 random(7);
    while (!stop) pair.b().control->consumer_wait.wait_position.store(random() % (1 << 20));
  });
  for (int i = 0; i < 2000; ++i) publish_one(*producer);
  stop = true;
  liar.join();
  EXPECT_LE(producer->wake_count(), 2000U);
}

TEST_F(HostileConsumer, ThatNeverReleasesCostsNoMoreThanTheRing) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.producer();
  std::span<std::byte> room;
  int posted = 0;
  while (producer->try_claim(100, room) == Status::ok) {
    producer->commit(100);
    producer->publish();
    ++posted;
  }
  EXPECT_LE(posted, 4096 / 108);
  EXPECT_EQ(producer->wait_for_room(100, deadline_in(5ms)), Status::timed_out);
}

constexpr auto kFlipping = 1500ms;

/// One thread flips everything that a producer writes, as fast as it can; the consumer must survive whatever
/// it reads. What keeps it within bounds is checked by AddressSanitizer, and by the guard pages around the
/// mapping.
TEST(HostileFlips, NeverMakeTheConsumerReadOutOfBounds) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  std::atomic<bool> stop = false;
  std::thread flipper([&] {
    std::mt19937_64 random(20'261);
    while (!stop.load(std::memory_order_relaxed)) {
      const std::uint64_t value = random();
      const Position place = (value >> 32U) % 4096 / 8 * 8;
      // Mostly headers that could pass: right flags, a sequence number near the expected one.
      const std::uint64_t plausible = make_header(value % 5000, value >> 60U);
      word_at(pair.a(), place).store(value % 4 == 0 ? value : plausible, std::memory_order_relaxed);
      if (value % 16 == 0) pair.a().control->tail.tail.store(value % 65536 / 8 * 8);
    }
  });
  std::uint64_t sum = 0;
  std::uint64_t refused = 0;
  for (const Deadline end = deadline_in(kFlipping); std::chrono::steady_clock::now() < end;) {
    const auto consumer = pair.consumer();
    Record record;
    Status status = Status::ok;
    for (int i = 0; i < 64 && status != Status::broken; ++i) {
      status = consumer->try_read(record);
      if (status == Status::ok) {
        for (const std::byte byte : record.payload) sum += static_cast<std::uint64_t>(byte);
        consumer->release();
      } else if (status == Status::would_block) {
        status = consumer->wait_for_record(Deadline{});
      }
    }
    if (status == Status::broken) ++refused;
  }
  stop = true;
  flipper.join();
  EXPECT_GT(refused, 0U);
  EXPECT_NE(sum, 1U);  // keeps the reads alive
}

TEST(HostileFlips, NeverMakeTheProducerWriteOutOfBounds) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  std::atomic<bool> stop = false;
  std::thread flipper([&] {
    std::mt19937_64 random(20'262);
    while (!stop.load(std::memory_order_relaxed)) {
      const std::uint64_t value = random();
      pair.b().control->release.released.store(value % 2 == 0 ? value : value % 65536 / 8 * 8,
                                               std::memory_order_relaxed);
      pair.b().control->consumer_wait.wait_position.store(value >> 40U, std::memory_order_relaxed);
    }
  });
  std::uint64_t refused = 0;
  for (const Deadline end = deadline_in(kFlipping); std::chrono::steady_clock::now() < end;) {
    const auto producer = pair.producer();
    std::span<std::byte> room;
    Status status = Status::ok;
    for (int i = 0; i < 64 && status != Status::broken; ++i) {
      const std::uint64_t bytes = static_cast<std::uint64_t>(i) * 61 % 2000;
      status = producer->try_claim(bytes, room);
      if (status == Status::ok) {
        std::memset(room.data(), i, room.size());
        producer->commit(bytes);
        producer->publish();
      }
    }
    if (status == Status::broken) ++refused;
  }
  stop = true;
  flipper.join();
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace sluice::ring::testing
