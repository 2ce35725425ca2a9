// Details of the byte ring that a single thread can see.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <deque>
#include <iterator>
#include <limits>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "ring_pair.hpp"
#include "watchdog.hpp"

namespace sluice::ring::testing {
namespace {

using namespace std::chrono_literals;

const WaitOptions kSleep{.strategy = WaitStrategy::sleep};

void publish(Producer& producer, std::uint64_t bytes) {
  std::span<std::byte> room;
  ASSERT_EQ(producer.try_claim(bytes, room), Status::ok);
  std::memset(room.data(), 1, room.size());
  ASSERT_EQ(producer.commit(bytes), Status::ok);
  producer.publish();
}

TEST(ByteRing, KnowsWhichPositionsAWakeUpPasses) {
  EXPECT_TRUE(passes(0, 8, 0));
  EXPECT_FALSE(passes(0, 8, 8));
  EXPECT_FALSE(passes(8, 16, 0));
  EXPECT_TRUE(passes(0, 64, 56));
  EXPECT_FALSE(passes(8, 8, 8));
  constexpr Position kEnd = std::numeric_limits<Position>::max() - 7;
  EXPECT_TRUE(passes(kEnd, 8, 0)) << "across 2^64";
  EXPECT_FALSE(passes(0, 4096, out_of_reach(0)));
}

TEST(ByteRing, PublishesAnEmptyRecordWhoseSequenceIsAMultipleOf2To32) {
  const RingPair pair({.first_sequence = 1ULL << 32U, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  publish(*producer, 0);
  Record record;
  EXPECT_EQ(consumer->try_read(record), Status::ok);
  EXPECT_EQ(record.sequence, 1ULL << 32U);
}

// It would publish the batch in front of the claim, and wait for what can't be used.
TEST(ByteRing, WaitsForNoRoomWhileAClaimIsOpen) {
  const RingPair pair({.wait = kSleep});
  const auto producer = pair.producer();
  std::span<std::byte> room;
  ASSERT_EQ(producer->try_append({}), Status::ok);
  ASSERT_EQ(producer->try_claim(8, room), Status::ok);
  EXPECT_EQ(producer->wait_for_room(8, kNoDeadline), Status::misuse);
  EXPECT_EQ(producer->tail(), 0U);
  ASSERT_EQ(producer->commit(8), Status::ok);
  EXPECT_EQ(producer->wait_for_room(8, kNoDeadline), Status::ok);
}

TEST(ByteRing, TakesTheLargestRecordAgainAndAgainAtEveryOffset) {
  for (const std::uint64_t window : {std::uint64_t{0}, std::uint64_t{1024}, max_replay_window(4096)}) {
    const RingPair pair({.capacity = 4096, .replay_window = window, .wait = kSleep});
    const auto producer = pair.producer();
    const auto consumer = pair.consumer();
    EXPECT_GE(producer->max_payload_bytes(), 2048U);
    for (std::uint64_t i = 0; i < 2000; ++i) {
      publish(*producer, i % 3 == 0 ? producer->max_payload_bytes() : i % 40);
      Record record;
      ASSERT_EQ(consumer->try_read(record), Status::ok) << i;
      consumer->release();
    }
  }
}

TEST(ByteRing, NeverOverwritesTheReplayWindow) {
  constexpr std::uint64_t kWindow = 1024;
  const RingPair pair({.capacity = 4096, .replay_window = kWindow, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  const auto* history = &pair.a_seen().control->history;
  Position start = 0;
  std::vector<std::pair<Position, Sequence>> records;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    records.emplace_back(start, i + 1);
    publish(*producer, i * 7 % 300);
    start = producer->tail();
    Record record;
    ASSERT_EQ(consumer->try_read(record), Status::ok);
    if (i % 3 == 0) consumer->release();
    const Position oldest = history->oldest.load();
    const Sequence oldest_sequence = history->oldest_sequence.load();
    for (const auto& [position, sequence] : records) {
      if (position == oldest) {
        EXPECT_EQ(sequence, oldest_sequence);
      }
      if (position >= oldest ||
          (position + kWindow >= consumer->released() && position < consumer->released())) {
        // Everything from `oldest`, and everything in the window, still has its own header.
        const auto& word = *reinterpret_cast<const std::uint64_t*>(pair.a_seen().data + position % 4096);
        ASSERT_EQ(word >> 32U, sequence & 0xffff'ffffU) << "position " << position << ", oldest " << oldest;
        ASSERT_GE(position, oldest) << "a record in the window is before the oldest";
      }
    }
    if (records.size() > 300) records.erase(records.begin(), records.begin() + 100);
  }
}

TEST(ByteRing, PostsAndAppendsCopiesInOrderWhateverIsMixed) {
  const RingPair pair({.capacity = 4096, .first_position = ~Position{0} - 4095, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  const std::vector<std::byte> pattern(producer->max_payload_bytes() + 1, std::byte{7});
  Sequence sent = 0;
  Sequence seen = 0;
  std::vector<std::vector<std::byte>> expected;
  const auto read_all = [&] {
    Record record;
    while (consumer->try_read(record) == Status::ok) {
      ASSERT_EQ(record.sequence, ++seen);
      const auto& wanted = expected[seen - 1];
      ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), record.payload.begin(), record.payload.end()))
          << seen;
      consumer->release();
    }
  };
  for (std::uint64_t i = 0; sent < 3000; ++i) {
    std::vector<std::byte> message(i * 13 % 300, static_cast<std::byte>(i));
    const bool publishing = i % 5 > 1;
    const Status status = publishing ? producer->try_post(message) : producer->try_append(message);
    if (status == Status::would_block) {
      producer->publish();
      read_all();
      continue;
    }
    ASSERT_EQ(status, Status::ok);
    expected.push_back(std::move(message));
    ++sent;
    if (publishing && i % 7 == 0) {
      read_all();
      ASSERT_EQ(seen, sent) << "a post publishes what was appended before";
    }
  }
  EXPECT_EQ(producer->try_post(pattern), Status::too_large);
  EXPECT_EQ(producer->try_append(pattern), Status::too_large);
  producer->publish();
  read_all();
  EXPECT_EQ(seen, sent);
}

TEST(ByteRing, TakesBackWhatWasNotPublished) {
  const RingPair pair({.wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  std::span<std::byte> room;
  ASSERT_EQ(producer->try_claim(100, room), Status::ok);
  ASSERT_EQ(producer->commit(100), Status::ok);
  ASSERT_EQ(producer->try_claim(100, room), Status::ok);
  ASSERT_EQ(producer->commit(50), Status::ok);
  producer->discard();
  publish(*producer, 8);
  Record record;
  ASSERT_EQ(consumer->try_read(record), Status::ok);
  EXPECT_EQ(record.payload.size(), 8U);
  EXPECT_EQ(record.sequence, 1U);
  EXPECT_EQ(consumer->try_read(record), Status::would_block);
}

TEST(ByteRing, WakesASleepingConsumerOnceAndAnAwakeOneNever) {
  const RingPair pair({.capacity = 1 << 16, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  for (int i = 0; i < 100; ++i) publish(*producer, 8);
  Record record;
  for (int i = 0; i < 100; ++i) ASSERT_EQ(consumer->try_read(record), Status::ok);
  consumer->release();
  EXPECT_EQ(producer->wake_count(), 0U);
  for (int round = 0; round < 50; ++round) {
    std::thread sleeper([&] { EXPECT_EQ(consumer->wait_for_record(deadline_in(20s)), Status::ok); });
    // Publish only once the consumer has announced that it sleeps for this position.
    while (pair.b_seen().control->consumer_wait.wait_position.load() != producer->tail())
      std::this_thread::yield();
    publish(*producer, 8);
    publish(*producer, 8);
    publish(*producer, 8);
    sleeper.join();
    for (int i = 0; i < 3; ++i) ASSERT_EQ(consumer->try_read(record), Status::ok);
    consumer->release();
  }
  EXPECT_EQ(producer->wake_count(), 50U);
  EXPECT_LE(consumer->sleep_count(), 50U);
}

TEST(ByteRing, EndsAWaitAtADeadlineBeforeTheClockBegan) {
  // The kernel refuses a negative time: without care the wait would go round for ever.
  const test::Watchdog watchdog(20s, "a wait whose deadline lies before the machine's start");
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  EXPECT_EQ(pair.consumer()->wait_for_record(Deadline::min()), Status::timed_out);
  const auto producer = pair.producer();
  publish(*producer, 8);
  EXPECT_EQ(producer->wait_until_consumed(deadline_in(std::chrono::nanoseconds::min())), Status::timed_out);
}

/// CPU time of this thread: a deadline missed by polling shows in it, one missed for want of a CPU doesn't.
std::chrono::nanoseconds cpu_time() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

TEST(ByteRing, PollsNoLongerThanItsDeadline) {
  const RingPair pair({.capacity = 4096, .wait = {.longest_spin = 10s}});
  const auto producer = pair.producer();
  publish(*producer, 8);
  const test::Watchdog watchdog(20s, "a wait of a millisecond");
  const auto before = cpu_time();
  EXPECT_EQ(producer->wait_until_consumed(deadline_in(1ms)), Status::timed_out);
  EXPECT_EQ(pair.producer()->wait_until_consumed(deadline_in(0ms)), Status::ok) << "a new ring is consumed";
  EXPECT_LT(cpu_time() - before, 1s);
}

TEST(ByteRing, SleepsAtOnceAfterASleepInVain) {
  const test::Watchdog watchdog(60s, "waits for a peer that is idle");
  const RingPair pair({.capacity = 4096, .wait = {.longest_spin = 20ms}});
  const auto producer = pair.producer();
  const auto consumer = pair.same_mapping_consumer();
  // The least of some tries: on a busy machine a wait may still be polling when its time is over.
  const auto cpu_time_of_ten = [](auto wait) {
    auto least = decltype(cpu_time())::max();
    for (int attempt = 0; attempt < 5 && least >= 20ms; ++attempt) {
      EXPECT_EQ(wait(deadline_in(1s)), Status::timed_out);
      const auto before = cpu_time();
      for (int i = 0; i < 10; ++i) EXPECT_EQ(wait(deadline_in(20ms)), Status::timed_out);
      least = std::min(least, cpu_time() - before);
    }
    return least;
  };
  EXPECT_LT(cpu_time_of_ten([&](Deadline until) { return consumer->wait_for_record(until); }), 20ms);
  publish(*producer, 8);
  EXPECT_LT(cpu_time_of_ten([&](Deadline until) { return producer->wait_until_consumed(until); }), 20ms);
  EXPECT_EQ(consumer->wait_for_record(deadline_in(20s)), Status::ok);
}

TEST(ByteRing, CountsItsWakeUpsWhileAnotherThreadLooks) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.same_mapping_producer();
  const auto consumer = pair.same_mapping_consumer();
  std::thread reader([&] {
    Record record;
    for (int i = 0; i < 200; ++i) {
      while (consumer->try_read(record) == Status::would_block)
        EXPECT_EQ(consumer->wait_for_record(deadline_in(20s)), Status::ok);
      consumer->release();
    }
  });
  for (int i = 0; i < 200; ++i) {
    publish(*producer, 8);
    EXPECT_LE(producer->wake_count() + consumer->wake_count(), 400U);
    EXPECT_LE(consumer->sleep_count(), 400U);
    ASSERT_EQ(producer->wait_until_consumed(deadline_in(20s)), Status::ok);
  }
  reader.join();
}

TEST(ByteRing, EndsASleepWhenItsGateIsRaised) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto consumer = pair.consumer();
  for (int round = 0; round < 200; ++round) {
    const auto producer = pair.producer();
    std::thread sleeper([&] {
      // Raised before, while or after it falls asleep: it must come back in every case.
      const auto other = pair.consumer();
      std::thread raiser([&] { other->gate().raise(Status::peer_died); });
      EXPECT_EQ(other->wait_for_record(kNoDeadline), Status::peer_died);
      raiser.join();
    });
    sleeper.join();
  }
}

TEST(WaitGate, NoticesThatTheDeadlineHasPassedThoughItsWordKeepsChanging) {
  WaitGate gate;
  const std::atomic<std::uint64_t> word = 8;
  constexpr std::uint32_t kReadBefore = 0;
  EXPECT_TRUE(gate.sleep(word, kReadBefore, deadline_in(60s))) << "there is something to look at";
  EXPECT_FALSE(gate.sleep(word, kReadBefore, deadline_in(-1ms)));
}

// Claims, commits, batches and posts in any order: what said ok arrives once, in order and unaltered.
TEST(ByteRing, LosesDoublesAndAltersNothingInWhateverOrderItIsCalled) {
  const std::uint64_t first = std::random_device{}();
  for (std::uint64_t seed = first; seed < first + 200 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const RingPair pair({.capacity = 4096, .replay_window = seed % 3 * 512, .wait = kSleep});
    const auto producer = pair.producer();
    const auto consumer = pair.consumer();
    std::deque<std::vector<std::byte>> committed;
    std::deque<std::vector<std::byte>> visible;
    std::vector<std::byte> claimed;
    std::span<std::byte> room;
    const auto publish = [&] {
      std::ranges::move(committed, std::back_inserter(visible));
      committed.clear();
    };
    for (int call = 0; call < 400 && !HasFailure(); ++call) {
      const std::vector<std::byte> message(random() % 9 == 0 ? random() % 900 : random() % 80,
                                           static_cast<std::byte>(call));
      const bool open = producer->claim_open();
      const std::uint64_t count = random() % 100;
      Status status = Status::ok;
      switch (random() % 8) {
        case 0:
          status = producer->try_post(message);
          if (status == Status::ok) committed.push_back(message);
          if (status == Status::ok) publish();
          EXPECT_EQ(status == Status::misuse, open);
          break;
        case 1:
          status = producer->try_append(message);
          if (status == Status::ok) committed.push_back(message);
          EXPECT_EQ(status == Status::misuse, open);
          break;
        case 2: {
          std::span<std::byte> next;
          status = producer->try_claim(message.size(), next);
          EXPECT_EQ(status == Status::misuse, open);
          if (status != Status::ok) break;
          std::ranges::copy(message, next.begin());
          claimed = message;
          room = next;
          break;
        }
        case 3:
          status = producer->commit(count);
          EXPECT_EQ(status, !open ? Status::misuse : count > claimed.size() ? Status::too_large : Status::ok);
          if (status == Status::ok)
            committed.emplace_back(claimed.begin(), claimed.begin() + std::ptrdiff_t(count));
          break;
        case 4:
          producer->publish();
          publish();
          break;
        case 5:
          if (random() % 4 == 0) producer->abort_claim();
          if (random() % 4 == 0) {
            producer->discard();
            committed.clear();
          }
          break;
        default: {
          Record record;
          status = consumer->try_read(record);
          ASSERT_EQ(status, visible.empty() ? Status::would_block : Status::ok);
          if (visible.empty()) break;
          EXPECT_TRUE(std::ranges::equal(record.payload, visible.front()));
          visible.pop_front();
          consumer->release();
        }
      }
      if (producer->claim_open()) {
        EXPECT_TRUE(std::ranges::equal(room, claimed)) << "altered in the claim";
      }
    }
  }
}

/// The producer clears a word ahead of time, where the next record will end if it is as long as the last one.
class GivenUp : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Room, GivenUp, ::testing::Bool(),
                         [](const auto& batch) { return batch.param ? "AsABatch" : "AsAClaim"; });

TEST_P(GivenUp, RoomThatWasWrittenIsNoRecordOfTheNextPublication) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  const std::vector<std::byte> message(64, std::byte{1});
  const std::vector<std::byte> garbage(64, std::byte{0xff});
  for (std::uint64_t bytes : {64U, 56U, 64U, 8U, 64U}) {
    ASSERT_EQ(producer->try_post(std::span(message).first(bytes)), Status::ok);
    if (GetParam()) {
      for (int i = 0; i < 4; ++i) ASSERT_EQ(producer->try_append(garbage), Status::ok);
      producer->discard();
    } else {
      std::span<std::byte> room;
      ASSERT_EQ(producer->try_claim(256, room), Status::ok);
      std::ranges::fill(room, std::byte{0xff});
      producer->abort_claim();
    }
    ASSERT_EQ(producer->try_post(std::span(message).first(bytes)), Status::ok);
    for (int i = 0; i < 2; ++i) {
      Record record;
      ASSERT_EQ(consumer->try_read(record), Status::ok);
      EXPECT_EQ(record.payload.size(), bytes);
    }
    Record none;
    ASSERT_EQ(consumer->try_read(none), Status::would_block) << consumer->failure().to_string();
    consumer->release();
  }
}

}  // namespace
}  // namespace sluice::ring::testing
