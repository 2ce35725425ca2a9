// What the byte ring promises, held by two threads on one mapping, two threads on two mappings, and two
// processes.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <limits>
#include <string>
#include <thread>

#include "record_stream.hpp"
#include "ring_pair.hpp"

namespace sluice::ring::testing {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRecords = 40'000;
#else
constexpr std::uint64_t kRecords = 300'000;
#endif

enum class Arrangement { one_mapping, two_mappings, two_processes };

struct Case {
  const char* name;
  PairOptions options;
};

constexpr std::uint32_t kAsymmetric = kFeatureBarrierTarget | kFeatureBarrierSleeper;
constexpr Position kBelow32 = (1ULL << 32U) - 512;
constexpr Position kBelow64 = std::numeric_limits<Position>::max() - 511;

const Case kCases[] = {
    {"Adaptive", {.capacity = 4096}},
    {"Sleeping", {.capacity = 4096, .wait = {.strategy = WaitStrategy::sleep}}},
    {"Spinning", {.capacity = 16384, .wait = {.strategy = WaitStrategy::spin}}},
    {"AsymmetricBarriers",
     {.capacity = 8192, .features = kAsymmetric, .wait = {.longest_spin = std::chrono::microseconds(1)}}},
    {"ReplayWindow", {.capacity = 8192, .replay_window = 2048}},
    {"Below32Bits", {.capacity = 4096, .first_position = kBelow32, .first_sequence = kBelow32}},
    {"Below64Bits", {.capacity = 4096, .first_position = kBelow64, .first_sequence = kBelow64}},
    {"LargeRing", {.capacity = 1 << 20}},
};

/// In small rings the records go up to the largest that fits; in large ones that would only take time.
std::uint64_t largest_record(const Producer& producer) {
  return std::min<std::uint64_t>(producer.max_payload_bytes(), 16'384);
}

/// Sends `count` records drawn from the seed; some in batches, some shortened after the claim. Returns "" or
/// what failed.
std::string produce(Producer& producer, std::uint64_t seed, std::uint64_t count) {
  RecordStream stream(seed, largest_record(producer));
  const Deadline deadline = deadline_in(120s);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t size = stream.next_size();
    const std::uint64_t claimed = std::min(size + i % 3, producer.max_payload_bytes());
    std::span<std::byte> room;
    Status status = producer.try_claim(claimed, room);
    while (status == Status::would_block) {
      status = producer.wait_for_room(claimed, deadline);
      if (status == Status::ok) status = producer.try_claim(claimed, room);
    }
    if (status != Status::ok) return "claim " + std::to_string(i) + ": " + std::string(to_string(status));
    stream.fill(room.first(size));
    if (producer.commit(size) != Status::ok) return "commit " + std::to_string(i);
    if (i % 4 != 1) producer.publish();
  }
  producer.publish();
  const Status status = producer.wait_until_consumed(deadline);
  return status == Status::ok ? "" : "waiting for the consumer: " + std::string(to_string(status));
}

std::string consume(Consumer& consumer, std::uint64_t seed, std::uint64_t count, std::uint64_t largest) {
  RecordStream stream(seed, largest);
  const Deadline deadline = deadline_in(120s);
  for (std::uint64_t i = 0; i < count; ++i) {
    Record record;
    Status status = consumer.try_read(record);
    while (status == Status::would_block) {
      consumer.release();
      status = consumer.wait_for_record(deadline);
      if (status == Status::ok) status = consumer.try_read(record);
    }
    if (status != Status::ok) {
      return "record " + std::to_string(i) + ": " + std::string(to_string(status)) + " " +
             consumer.failure().to_string();
    }
    if (record.payload.size() != stream.next_size())
      return "record " + std::to_string(i) + " has a wrong size";
    if (!stream.matches(record.payload)) return "record " + std::to_string(i) + " has wrong content";
    if (i % 5 != 2) consumer.release();
  }
  consumer.release();
  return "";
}

class RingContract : public ::testing::TestWithParam<std::tuple<Arrangement, std::size_t>> {
 protected:
  static constexpr std::uint64_t kSeed = 20'261;
};

TEST_P(RingContract, DeliversEveryRecordOnceInOrderAndWhole) {
  const auto [arrangement, index] = GetParam();
  const PairOptions options = kCases[index].options;
  if ((options.features & kFeatureBarrierTarget) != 0 && !register_barrier_target()) {
    GTEST_SKIP() << "this kernel has no expedited global membarrier";
  }
  const bool one_mapping = arrangement == Arrangement::one_mapping;
  const RingPair pair(options);
  const auto producer = one_mapping ? pair.same_mapping_producer() : pair.producer();
  const auto consumer = one_mapping ? pair.same_mapping_consumer() : pair.consumer();
  // Sleeping costs system calls, and two spinners on one busy core wait for each other's time slices.
  const bool slow =
      options.wait.strategy == WaitStrategy::sleep || options.wait.strategy == WaitStrategy::spin;
  const std::uint64_t count = slow ? kRecords / 10 : kRecords;

  if (arrangement == Arrangement::two_processes) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto own_producer = pair.producer();  // an end works in the process that made it
      const std::string failure = produce(*own_producer, kSeed, count);
      if (!failure.empty()) ::fprintf(stderr, "producer: %s\n", failure.c_str());
      ::_exit(failure.empty() ? 0 : 1);
    }
    EXPECT_EQ(consume(*consumer, kSeed, count, largest_record(*producer)), "");
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  } else {
    std::string producer_failure;
    std::thread thread([&, n = count] { producer_failure = produce(*producer, kSeed, n); });
    EXPECT_EQ(consume(*consumer, kSeed, count, largest_record(*producer)), "");
    thread.join();
    EXPECT_EQ(producer_failure, "");
  }
  EXPECT_EQ(consumer->next_sequence(), options.first_sequence + count);
}

std::string case_name(const ::testing::TestParamInfo<RingContract::ParamType>& info) {
  constexpr const char* kArrangements[] = {"OneMapping", "TwoMappings", "TwoProcesses"};
  return std::string(kArrangements[static_cast<std::size_t>(std::get<0>(info.param))]) +
         kCases[std::get<1>(info.param)].name;
}

INSTANTIATE_TEST_SUITE_P(Threads, RingContract,
                         ::testing::Combine(::testing::Values(Arrangement::one_mapping,
                                                              Arrangement::two_mappings),
                                            ::testing::Range<std::size_t>(0, std::size(kCases))),
                         case_name);
#ifndef __SANITIZE_THREAD__  // it follows one process only
INSTANTIATE_TEST_SUITE_P(Processes, RingContract,
                         ::testing::Combine(::testing::Values(Arrangement::two_processes),
                                            ::testing::Range<std::size_t>(0, std::size(kCases))),
                         case_name);
#endif

}  // namespace
}  // namespace sluice::ring::testing
