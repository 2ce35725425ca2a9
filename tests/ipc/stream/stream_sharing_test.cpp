// What sending and receiving at once costs a stream, and that it costs nothing afterwards: seen from inside.
#include <gtest/gtest.h>

#include <future>
#include <span>
#include <thread>
#include <vector>

#include "frames.hpp"
#include "sluice/ring/detail/barrier.hpp"
#include "stream_ends.hpp"
#include "transports.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using ipc::StreamEnds;
using test::Bytes;

constexpr std::size_t kBlocks = 2000;

class SharedStreams : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!ring::register_barrier_target()) GTEST_SKIP() << "this kernel has no membarrier";
  }

  static void send(StreamEnds& ends) {
    const SendOptions options;
    const Bytes block(1000);
    ends.sender.begin(options);
    for (std::size_t i = 0; i < kBlocks; ++i) ends.sender.write(block);
    ends.sender.finish();
  }
  /// How many of the blocks lay in place.
  static std::size_t receive(StreamEnds& ends) {
    std::size_t in_place = 0;
    ends.receiver.begin();
    for (std::span<const std::byte> block; ends.receiver.next_block(block, {});)
      in_place += ends.reader.arrivals().in_hand_in_place() ? 1U : 0U;
    ends.receiver.end(true, "");
    return in_place;
  }
  void both_ways() {
    std::vector<std::future<void>> all;
    for (StreamEnds* ends : {&a_, &b_}) {
      all.push_back(std::async(std::launch::async, [ends] { send(*ends); }));
      all.push_back(std::async(std::launch::async, [ends] { receive(*ends); }));
    }
    for (auto& one : all) one.get();
  }

  test::PortPair ports_ = test::make_ports(test::PortKind::shared_memory);
  const PortStreamOptions options_{.ack_timeout = 20s};
  StreamEnds a_{AnyPort::borrow(ports_.first), options_};
  StreamEnds b_{AnyPort::borrow(ports_.second), options_};
  const test::Watchdog watchdog_{60s, "a shared stream"};
};

TEST_F(SharedStreams, NeitherShareALockNorCopyWhileOneDirectionIsInUse) {
  auto sending = std::async(std::launch::async, [this] { send(a_); });
  EXPECT_EQ(receive(b_), kBlocks);
  sending.get();
  EXPECT_LE(a_.reader.slow_locks(), 5U);
  EXPECT_LE(b_.reader.slow_locks(), 5U);
}

TEST_F(SharedStreams, AreAsQuickAsBeforeOnceOneDirectionIsLeft) {
  for (int round = 0; round < 3; ++round) {
    // On a busy machine the two directions may run one after the other: until they have met.
    const std::uint64_t met = a_.reader.slow_locks() + 100;
    for (int tries = 0; tries < 100 && a_.reader.slow_locks() < met; ++tries) both_ways();
    const std::uint64_t at_a = a_.reader.slow_locks();
    const std::uint64_t at_b = b_.reader.slow_locks();
    EXPECT_GE(at_a, met);  // else this shows nothing
    // Two streams in each direction: the privilege changes hands with the direction.
    for (StreamEnds* sender : {&a_, &b_}) {
      StreamEnds& receiver = sender == &a_ ? b_ : a_;
      for (int stream = 0; stream < 2; ++stream) {
        auto sending = std::async(std::launch::async, [sender] { send(*sender); });
        EXPECT_EQ(receive(receiver), kBlocks);
        sending.get();
      }
    }
    EXPECT_LE(a_.reader.slow_locks() - at_a, 20U);
    EXPECT_LE(b_.reader.slow_locks() - at_b, 20U);
  }
}

}  // namespace
}  // namespace sluice
