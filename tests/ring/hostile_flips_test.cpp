// A peer whose lengths and positions flip while they are read: nothing of ours is harmed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <span>
#include <thread>

#include "ring_pair.hpp"

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
constexpr std::uint64_t kFlips = 5'000'000;
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
        producer->commit(bytes);
        producer->publish();
      }
    }
    if (status == Status::broken) ++refused;
  }
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace sluice::ring::testing
