// Reading what was read before: the replay window, and history beside the live stream.
#include "sluice/ring/history.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ring_pair.hpp"
#include "throws.hpp"

namespace sluice::ring::testing {
namespace {

const WaitOptions kSleep{.strategy = WaitStrategy::sleep};

/// A record whose content tells its number and whose size varies.
std::vector<std::byte> content(Sequence sequence) {
  std::vector<std::byte> bytes(8 + sequence % 60);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(sequence + i);
  return bytes;
}

void publish(Producer& producer) {
  const auto bytes = content(producer.next_sequence());
  std::span<std::byte> room;
  ASSERT_EQ(producer.try_claim(bytes.size(), room), Status::ok);
  std::memcpy(room.data(), bytes.data(), bytes.size());
  ASSERT_EQ(producer.commit(bytes.size()), Status::ok);
  producer.publish();
}

bool holds(std::span<const std::byte> payload, Sequence sequence) {
  const auto bytes = content(sequence);
  return payload.size() == bytes.size() && std::memcmp(payload.data(), bytes.data(), bytes.size()) == 0;
}

void expect_records(Consumer& consumer, Sequence from, Sequence end) {
  for (Sequence sequence = from; sequence != end; ++sequence) {
    Record record;
    ASSERT_EQ(consumer.try_read(record), Status::ok) << sequence;
    ASSERT_EQ(record.sequence, sequence);
    ASSERT_TRUE(holds(record.payload, sequence)) << sequence;
    consumer.release();
  }
}

TEST(Replay, GivesEveryRecordOfTheWindowAgainWhileTheProducerGoesOn) {
  for (const Position first : {Position{0}, std::numeric_limits<Position>::max() - 4095}) {
    const RingPair pair({.capacity = 4096, .replay_window = 1024, .first_position = first, .wait = kSleep});
    const auto producer = pair.producer();
    const auto consumer = pair.consumer();
    for (int round = 0; round < 300; ++round) {
      for (int i = 0; i < 20; ++i) publish(*producer);
      const Sequence end = producer->next_sequence();
      expect_records(*consumer, consumer->next_sequence(), end);
      const Sequence back = end - std::min<Sequence>(10, end - 1);
      const Position released = consumer->released();
      ASSERT_EQ(consumer->rewind(back), Status::ok);
      EXPECT_EQ(consumer->replay_end(), end);
      for (int i = 0; i < 20; ++i) publish(*producer);  // overwrites all it may
      expect_records(*consumer, back, end);
      EXPECT_EQ(consumer->released(), released) << "nothing new was read, nothing new is released";
      expect_records(*consumer, end, end + 20);
    }
  }
}

TEST(Replay, RefusesWhatMayBeOverwrittenAndWhatWasNeverRead) {
  const RingPair pair({.capacity = 4096, .replay_window = 512, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  for (int i = 0; i < 500; ++i) {
    publish(*producer);
    expect_records(*consumer, consumer->next_sequence(), producer->next_sequence());
  }
  EXPECT_EQ(consumer->rewind(1), Status::overwritten);
  EXPECT_EQ(consumer->rewind(480), Status::overwritten) << "intact perhaps, but not inside the window";
  publish(*producer);
  EXPECT_EQ(consumer->rewind(502), Status::would_block);
  EXPECT_EQ(consumer->rewind(501), Status::ok);
  expect_records(*consumer, 501, 502);
}

TEST(Replay, MayBeginAgainInTheMiddle) {
  const RingPair pair({.capacity = 4096, .replay_window = 1024, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  for (int i = 0; i < 10; ++i) publish(*producer);
  expect_records(*consumer, 1, 11);
  ASSERT_EQ(consumer->rewind(3), Status::ok);
  expect_records(*consumer, 3, 6);
  ASSERT_EQ(consumer->rewind(2), Status::ok);
  EXPECT_EQ(consumer->replay_end(), 11U);
  expect_records(*consumer, 2, 11);
  EXPECT_EQ(consumer->rewind(12), Status::would_block);
}

TEST(History, ReadsBesideTheLiveStreamWhatIsStillThere) {
  const RingPair pair({.capacity = 4096, .replay_window = 1024, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  for (int i = 0; i < 1000; ++i) {
    publish(*producer);
    if (i % 5 == 4) expect_records(*consumer, consumer->next_sequence(), producer->next_sequence());
  }
  HistoryReader history(pair.a_seen());
  EXPECT_EQ(history.seek(1), Status::overwritten);
  const RecordPlace oldest = history.oldest();
  EXPECT_LT(oldest.sequence, 1000U);
  ASSERT_EQ(history.seek(oldest.sequence), Status::ok);
  std::vector<std::byte> payload;
  Sequence sequence = 0;
  for (Sequence expected = oldest.sequence; expected != 1001; ++expected) {
    ASSERT_EQ(history.next(payload, sequence), Status::ok);
    ASSERT_EQ(sequence, expected);
    ASSERT_TRUE(holds(payload, expected));
  }
  EXPECT_EQ(history.next(payload, sequence), Status::would_block);
  EXPECT_EQ(history.seek(1001), Status::ok) << "where the next record will be";
  EXPECT_EQ(history.seek(1002), Status::would_block);
  publish(*producer);
  ASSERT_EQ(history.seek(1001), Status::ok);
  EXPECT_EQ(history.next(payload, sequence), Status::ok);
  EXPECT_TRUE(holds(payload, 1001));
}

/// Has something done when a page is read for the first time.
class OnFirstRead {
 public:
  OnFirstRead(const std::byte* place, std::function<void()> action) : action_(std::move(action)) {
    const auto address = reinterpret_cast<std::uintptr_t>(place);
    page_ = reinterpret_cast<void*>(address - address % page_bytes());
    present = this;
    struct sigaction handler {};
    handler.sa_handler = [](int) { present->act(); };
    ::sigaction(SIGSEGV, &handler, &before_);
    ::mprotect(page_, page_bytes(), PROT_NONE);
  }
  OnFirstRead(const OnFirstRead&) = delete;
  OnFirstRead& operator=(const OnFirstRead&) = delete;
  ~OnFirstRead() {
    ::mprotect(page_, page_bytes(), PROT_READ);
    ::sigaction(SIGSEGV, &before_, nullptr);
  }

 private:
  static std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

  void act() const {
    ::mprotect(page_, page_bytes(), PROT_READ);
    ::sigaction(SIGSEGV, &before_, nullptr);
    action_();
  }

  static inline OnFirstRead* present = nullptr;
  std::function<void()> action_;
  void* page_ = nullptr;
  struct sigaction before_ {};
};

TEST(History, IsWalkedToItsEndWhileTheProducerPublishesMoreThanALapBehindItsOldestRecord) {
  constexpr Position kCapacity = Position{1} << 20;
  const RingPair pair({.capacity = kCapacity, .wait = kSleep});
  const auto producer = pair.producer();
  const auto consumer = pair.consumer();
  const auto publish_until = [&](Position end) {
    while (before(producer->tail(), end)) {
      publish(*producer);
      expect_records(*consumer, consumer->next_sequence(), producer->next_sequence());
    }
  };
  publish_until(2 * kCapacity);
  HistoryReader history(pair.a_seen());
  const Position oldest = history.oldest().position;
  const Position late = producer->tail() - kCapacity / 4;
  const OnFirstRead hook(pair.a_seen().data + late % kCapacity,
                         [&] { publish_until(producer->tail() + kCapacity / 2); });
  EXPECT_EQ(history.seek_end(), Status::ok);
  EXPECT_EQ(history.place().position, producer->tail());
  EXPECT_GT(history.place().position - oldest, kCapacity + kCapacity / 4);
}

TEST(History, NeverHandsOutATornRecordWhileItIsBeingOverwritten) {
  const RingPair pair({.capacity = 4096, .wait = {.strategy = WaitStrategy::spin}});
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    const auto producer = pair.producer();
    const auto consumer = pair.consumer();
    while (!stop.load(std::memory_order_relaxed)) {
      publish(*producer);
      expect_records(*consumer, consumer->next_sequence(), producer->next_sequence());
    }
  });
  std::uint64_t read = 0;
  HistoryReader history(pair.a_seen());
  std::vector<std::byte> payload;
  Sequence sequence = 0;
  for (const Deadline end = deadline_in(std::chrono::seconds(1)); std::chrono::steady_clock::now() < end;) {
    const Status status = history.next(payload, sequence);
    if (status == Status::ok) {
      ++read;
      EXPECT_TRUE(holds(payload, sequence)) << sequence;
    } else if (status == Status::overwritten) {
      (void)history.seek(history.oldest().sequence);
    } else {
      EXPECT_EQ(status, Status::would_block);
    }
  }
  stop = true;
  writer.join();
  EXPECT_GT(read, 0U);
}

TEST(History, IsSearchedNoLongerThanItsDeadline) {
  const RingPair pair({.capacity = 1U << 20U, .wait = kSleep});
  const auto producer = pair.producer();
  for (int i = 0; i < 50'000; ++i) ASSERT_EQ(producer->try_post({}), Status::ok);
  HistoryReader history(pair.a_seen());
  EXPECT_EQ(history.seek_end(), Status::ok);
  history.give_up_at(Deadline{});
  EXPECT_EQ(history.seek_end(), Status::timed_out);
  EXPECT_EQ(history.seek(50'000), Status::timed_out);
  EXPECT_EQ(history.seek_position(400'000), Status::timed_out);
  const RegionOptions options{.capacity = 1U << 20U};
  EXPECT_NO_THROW((void)OwnedRegion::continue_from(pair.a_seen(), options, 0));
  EXPECT_TRUE(test::throws(sluice::errc::timed_out, "in time",
                           [&] { (void)OwnedRegion::continue_from(pair.a_seen(), options, 0, Deadline{}); }));
}

// One record, which is found at once.
TEST(History, IsCopiedNoLongerThanItsDeadline) {
  const RingPair pair({.capacity = 1U << 20U, .wait = kSleep});
  ASSERT_EQ(pair.producer()->try_post(std::vector<std::byte>(500'000)), Status::ok);
  const RegionOptions options{.capacity = 1U << 20U};
  EXPECT_TRUE(test::throws(sluice::errc::timed_out, "in time",
                           [&] { (void)OwnedRegion::continue_from(pair.a_seen(), options, 0, Deadline{}); }));
}

TEST(History, RefusesALyingProducer) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const auto producer = pair.producer();
  publish(*producer);
  publish(*producer);
  std::uint64_t wrong = make_header(4000, 1);
  std::memcpy(pair.a().data, &wrong, sizeof wrong);
  HistoryReader history(pair.a_seen());
  EXPECT_EQ(history.seek(3), Status::would_block) << "a record that leads nowhere";
  wrong = make_header((1U << 30U) - 1, 1);
  std::memcpy(pair.a().data, &wrong, sizeof wrong);
  EXPECT_EQ(history.seek(2), Status::broken);
}

}  // namespace
}  // namespace sluice::ring::testing
