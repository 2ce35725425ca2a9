// A peer whose lengths and positions flip while they are read: nothing of ours is harmed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "ring_pair.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/history.hpp"

namespace sluice::ring::testing {
namespace {

std::atomic_ref<std::uint64_t> word_at(const OwnView& region, Position position) {
  return std::atomic_ref<std::uint64_t>(
      *reinterpret_cast<std::uint64_t*>(region.data + (position & (region.header.capacity - 1))));
}

const WaitOptions kSleep{.strategy = WaitStrategy::sleep};

// The soak program is the same with more flips.
#ifdef SLUICE_SOAK
#define SLUICE_FLIPS_SUITE HostileFlipsSoak
constexpr std::uint64_t kFlips = 100'000'000;
#else
#define SLUICE_FLIPS_SUITE HostileFlips
constexpr std::uint64_t kFlips = 1'000'000;
#endif

/// Whether a span lies in a ring's two mappings.
template <typename View, typename Byte>
bool lies_within(const View& region, std::span<Byte> bytes) {
  return bytes.data() >= region.data &&
         bytes.data() + bytes.size() <= region.data + 2 * region.header.capacity;
}

/// One thread flips everything that a producer writes, as fast as it can; the consumer must survive whatever
/// it reads, and hand out nothing that lies outside of the ring.
TEST(SLUICE_FLIPS_SUITE, NeverMakeTheConsumerReadOutOfBounds) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  std::atomic<bool> done = false;
  std::jthread flipper([&] {
    std::mt19937_64 random(20'261);
    for (std::uint64_t flip = 0; flip < kFlips; ++flip) {
      const std::uint64_t value = random();
      const Position place = (value >> 32U) % 4096 / 8 * 8;
      // Mostly headers that could pass: right flags, a sequence number near the expected one.
      const std::uint64_t plausible = make_header(value % 5000, value >> 60U);
      word_at(pair.a(), place).store(value % 4 == 0 ? value : plausible, std::memory_order_relaxed);
      if (value % 16 == 0) pair.a().control->tail.tail.store(value % 65536 / 8 * 8);
    }
    done = true;
  });
  std::uint64_t sum = 0;
  std::uint64_t refused = 0;
  while (!done) {
    const auto consumer = pair.consumer();
    Record record;
    Status status = Status::ok;
    for (int i = 0; i < 64 && status != Status::broken; ++i) {
      status = consumer->try_read(record);
      if (status == Status::ok) {
        ASSERT_TRUE(lies_within(pair.a_seen(), record.payload));
        for (const std::byte byte : record.payload) sum += static_cast<std::uint64_t>(byte);
        consumer->release();
      } else if (status == Status::would_block) {
        status = consumer->wait_for_record(Deadline{});
      }
    }
    if (status == Status::broken) ++refused;
  }
  EXPECT_GT(refused, 0U);
  EXPECT_NE(sum, 1U);  // keeps the reads alive
}

TEST(SLUICE_FLIPS_SUITE, NeverMakeTheProducerWriteOutOfBounds) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  std::atomic<bool> done = false;
  std::jthread flipper([&] {
    std::mt19937_64 random(20'262);
    for (std::uint64_t flip = 0; flip < kFlips; ++flip) {
      const std::uint64_t value = random();
      pair.b().control->release.released.store(value % 2 == 0 ? value : value % 65536 / 8 * 8,
                                               std::memory_order_relaxed);
      pair.b().control->consumer_wait.wait_position.store(value >> 40U, std::memory_order_relaxed);
    }
    done = true;
  });
  std::uint64_t refused = 0;
  while (!done) {
    const auto producer = pair.producer();
    std::span<std::byte> room;
    Status status = Status::ok;
    for (int i = 0; i < 64 && status != Status::broken; ++i) {
      const std::uint64_t bytes = static_cast<std::uint64_t>(i) * 61 % 2000;
      status = producer->try_claim(bytes, room);
      if (status == Status::ok) {
        ASSERT_TRUE(lies_within(pair.a(), room));
        std::memset(room.data(), i, room.size());
        ASSERT_EQ(producer->commit(bytes), Status::ok);
        producer->publish();
      }
    }
    if (status == Status::broken) ++refused;
  }
  EXPECT_GT(refused, 0U);
}

/// Flips, while it lives, what a producer writes for those who read old records: headers along a chain that
/// is mostly whole, so that readers come far, and the oldest record's place and number.
class HistoryFlipper {
 public:
  explicit HistoryFlipper(const OwnView& region) : region_(region) {
    for (std::uint64_t record = 0; record < kRecords; ++record) mend(record);
    thread_ = std::jthread([this] { flip(); });
  }

  bool done() const { return done_; }

 private:
  static constexpr std::uint64_t kBytes = 64;
  static constexpr std::uint64_t kRecords = 40;  // of 64 places: the next header is zero

  void mend(std::uint64_t record) const {
    word_at(region_, record * kBytes)
        .store(make_header(kBytes - kRecordHeaderBytes, record + 1), std::memory_order_relaxed);
  }

  void damage(std::uint64_t record, std::uint64_t value) const {
    const std::uint64_t plausible = make_header(value % 5000, record + 1);
    word_at(region_, record * kBytes).store(value % 3 == 0 ? value : plausible, std::memory_order_relaxed);
  }

  void flip() {
    std::mt19937_64 random(20'263);
    auto& history = region_.control->history;
    for (std::uint64_t flip = 0; flip < kFlips / 5; ++flip) {  // each is more work than the others
      const std::uint64_t value = random();
      const std::uint64_t record = (value >> 32U) % kRecords;
      damage(record, value);
      mend(record);
      if (value % 16 != 0) continue;
      const bool wild = value % 64 == 0;
      history.oldest.store(wild ? value : record * kBytes, std::memory_order_relaxed);
      history.oldest_sequence.store(wild ? value : record + 1, std::memory_order_relaxed);
      region_.control->tail.tail.store(wild ? value : kRecords * kBytes, std::memory_order_relaxed);
      std::this_thread::yield();
      history.oldest.store(0, std::memory_order_relaxed);
      history.oldest_sequence.store(1, std::memory_order_relaxed);
    }
    done_ = true;
  }

  const OwnView& region_;
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

/// What came of many attempts.
struct Attempts {
  std::uint64_t good = 0;
  std::uint64_t refused = 0;

  void count(bool is_good) { ++(is_good ? good : refused); }
};

void expect_both(const Attempts& attempts) {
  EXPECT_GT(attempts.good, 0U);
  EXPECT_GT(attempts.refused, 0U);
}

TEST(SLUICE_FLIPS_SUITE, NeverMakeAReaderOfTheHistoryReadOutOfBounds) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const HistoryFlipper flipper(pair.a());
  std::vector<std::byte> payload;
  Attempts seeks;
  Attempts records;
  while (!flipper.done()) {
    HistoryReader history(pair.a_seen());
    const std::uint64_t attempt = seeks.good + seeks.refused;
    const Status found = attempt % 3 == 0   ? history.seek(attempt % 50)
                         : attempt % 3 == 1 ? history.seek_position(attempt % 50 * 64)
                                            : history.seek_end();
    seeks.count(found == Status::ok);
    Status status = found;
    for (int i = 0; i < 64 && status == Status::ok; ++i) {
      Sequence sequence = 0;
      status = history.next(payload, sequence);
      records.count(status == Status::ok);
      ASSERT_LE(payload.size(), max_payload_bytes(4096, 0));
    }
  }
  expect_both(seeks);
  expect_both(records);
}

TEST(SLUICE_FLIPS_SUITE, NeverMakeAConsumerThatGoesBackReadOutOfBounds) {
  const RingPair pair({.capacity = 4096, .replay_window = 1024, .wait = kSleep});
  const HistoryFlipper flipper(pair.a());
  Attempts records;
  std::uint64_t rewinds = 0;
  while (!flipper.done()) {
    const auto consumer = pair.consumer();
    Status status = Status::ok;
    for (int i = 0; i < 64 && status == Status::ok; ++i) {
      Record record;
      status = consumer->try_read(record);
      records.count(status == Status::ok);
      if (status != Status::ok) break;
      ASSERT_TRUE(lies_within(pair.a_seen(), record.payload));
      consumer->release();
      if (i % 8 != 7) continue;
      if (consumer->rewind(consumer->next_sequence() - 5) == Status::ok) ++rewinds;
    }
  }
  expect_both(records);
  EXPECT_GT(rewinds, 0U);
}

TEST(SLUICE_FLIPS_SUITE, NeverMakeARecoveryTakeWhatIsNoRecord) {
  const RingPair pair({.capacity = 4096, .wait = kSleep});
  const HistoryFlipper flipper(pair.a());
  Attempts recoveries;
  while (!flipper.done()) {
    try {
      const auto region = OwnedRegion::continue_from(pair.a_seen(), {.capacity = 4096}, 0);
      recoveries.count(true);
      const Position end = region.view().control->tail.tail.load();
      HistoryReader taken(region.view());
      ASSERT_EQ(taken.seek_end(), Status::ok) << "everything that was taken over is a record";
      ASSERT_EQ(taken.place().position, end);
    } catch (const error&) {
      recoveries.count(false);
    }
  }
  expect_both(recoveries);
}

}  // namespace
}  // namespace sluice::ring::testing
