// The two state machines by themselves, and streams whose ids wrap at 2^32.
#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "frames.hpp"
#include "sluice/ipc/stream/receive_state.hpp"
#include "sluice/ipc/stream/send_state.hpp"
#include "stream_ends.hpp"
#include "transports.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using ipc::Answer;
using ipc::BlockId;
using ipc::ReceiveState;
using ipc::SendState;
using test::Bytes;
using Effect = SendState::AckEffect;
using Verdict = ReceiveState::Verdict;

constexpr Answer kHandled{.handled = true, .window = 100};

TEST(SendStates, SendOneBlockBeforeTheFirstAnswerAndThenWhatTheWindowHolds) {
  SendState state;
  EXPECT_TRUE(state.may_send(1U << 30U));
  state.begin_block(10);
  EXPECT_FALSE(state.may_send(0));
  EXPECT_EQ(state.on_ack(0, kHandled), Effect::advanced);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(state.may_send(10));
    state.begin_block(10);
  }
  EXPECT_FALSE(state.may_send(1));
  EXPECT_TRUE(state.may_send(0));
  EXPECT_EQ(state.on_ack(1, kHandled), Effect::advanced);
  EXPECT_TRUE(state.may_send(10));
  EXPECT_FALSE(state.may_send(11));
}

TEST(SendStates, CountCumulativeAnswersToTheBlock) {
  SendState state(0xfffffffaU);
  for (std::uint64_t size = 1; size <= 10; ++size) state.begin_block(size);
  EXPECT_EQ(state.on_ack(0xfffffffcU, kHandled), Effect::advanced);  // 1, 2, 3
  EXPECT_EQ(state.bytes_acknowledged(), 6U);
  EXPECT_EQ(state.blocks_in_flight(), 7U);
  EXPECT_EQ(state.on_ack(0xfffffffcU, kHandled), Effect::stale);
  EXPECT_EQ(state.on_ack(0xfffffff9U, kHandled), Effect::never_sent);
  EXPECT_EQ(state.on_ack(4, kHandled), Effect::never_sent);
  EXPECT_EQ(state.on_ack(0, kHandled), Effect::advanced);  // to 7, across the wrap
  EXPECT_EQ(state.bytes_acknowledged(), 28U);
  EXPECT_EQ(state.on_ack(3, {}), Effect::rejected);
  EXPECT_EQ(state.bytes_acknowledged(), 28U);
  EXPECT_TRUE(state.all_answered());
  EXPECT_EQ(state.next_id(), 4U);
  EXPECT_EQ(state.blocks_sent(), 10U);
}

TEST(SendStates, KeepSizesOfEveryBlockInFlightWhileTheyGrow) {
  SendState state(0xfffffff0U);
  state.begin_block(1);
  (void)state.on_ack(0xfffffff0U, {.handled = true, .window = 0xffffffffU});
  std::size_t blocks = 0;
  while (state.may_send(3)) {
    state.begin_block(3);
    ++blocks;
  }
  EXPECT_EQ(blocks, ipc::kMaxBlocksInFlight);
  EXPECT_EQ(state.on_ack(0xfffffff0U + 1000, kHandled), Effect::advanced);
  EXPECT_EQ(state.bytes_acknowledged(), 1U + 3000);
  state.restart();
  EXPECT_EQ(state.next_id(), 0U);
  EXPECT_EQ(state.window(), 0U);
}

TEST(ReceiveStates, GoAcrossTheWrap) {
  ReceiveState state({.window_bytes = 40}, 0xfffffffeU);
  for (const BlockId id : {0xfffffffeU, 0xffffffffU, 0U, 1U}) {
    EXPECT_EQ(state.on_data(id + 1, 1), Verdict::wrong_id);
    EXPECT_EQ(state.on_data(id, 10), Verdict::accept);
    EXPECT_TRUE(state.consumed(10));  // a quarter of the window each
    EXPECT_EQ(state.consumed_unanswered(), id);
  }
  EXPECT_EQ(state.on_data(2, 1), Verdict::accept);
  EXPECT_FALSE(state.consumed(1));
  EXPECT_EQ(state.consumed_unanswered(), 2U);
  EXPECT_EQ(state.consumed_unanswered(), std::nullopt);
  EXPECT_EQ(state.on_end(3), Verdict::accept);
  EXPECT_EQ(state.expected_id(), 0U);
}

TEST(ReceiveStates, RejectTheLastDroppedBlockAcrossTheWrap) {
  ReceiveState state({}, 0xffffffffU);
  EXPECT_EQ(state.on_data(0xffffffffU, 5), Verdict::accept);
  EXPECT_EQ(state.on_data(0, 5), Verdict::accept);
  EXPECT_EQ(state.refuse(2, 10, false), 0U);
  EXPECT_EQ(state.on_data(1, 5), Verdict::refused);
  EXPECT_EQ(state.on_end(2), Verdict::refused);
  EXPECT_EQ(state.on_data(0, 5), Verdict::accept);
}

class WrappingStreams : public ::testing::TestWithParam<StreamReading> {};
INSTANTIATE_TEST_SUITE_P(Uses, WrappingStreams, ::testing::ValuesIn(test::kStreamReadings),
                         [](const auto& use) { return test::name_of(use.param); });

TEST_P(WrappingStreams, CarryAStreamWholeAndTheNext) {
  const test::Watchdog watchdog{60s, "a stream across the wrap"};
  constexpr BlockId kFirst = 0U - 500;
  for (const std::uint32_t window : {0U, 700U, 1U << 20U}) {
    auto ports = test::make_ports(test::PortKind::shared_memory);
    const PortStreamOptions options{.ack_timeout = 20s, .window_bytes = window, .reading = GetParam()};
    auto sending = std::async(std::launch::async, [&] {
      ipc::StreamEnds ends(AnyPort::borrow(ports.first), options, kFirst);
      const SendOptions send_options;
      for (int stream = 0; stream < 2; ++stream) {
        ends.sender.begin(send_options);
        for (std::uint32_t block = 0; block < 1000; ++block)
          ends.sender.write(std::as_bytes(std::span(&block, 1)));
        EXPECT_EQ(ends.sender.finish().blocks, 1000U);
      }
    });
    ipc::StreamEnds ends(AnyPort::borrow(ports.second), options, kFirst);
    for (int stream = 0; stream < 2; ++stream) {
      std::uint32_t expected = 0;
      ends.receiver.begin();
      for (std::span<const std::byte> block; ends.receiver.next_block(block, {});) {
        std::uint32_t came = 0;
        ASSERT_EQ(block.size(), sizeof came);
        std::memcpy(&came, block.data(), sizeof came);
        EXPECT_EQ(came, expected++);
      }
      ends.receiver.end(true, "");
      EXPECT_EQ(expected, 1000U);
    }
    sending.get();
  }
}

}  // namespace
}  // namespace sluice
