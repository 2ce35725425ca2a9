// Streams between two ends of ours, over every kind of port, read by the caller or by the delivery thread.
#include "sluice/ipc/stream/port_stream.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "frames.hpp"
#include "open_descriptors.hpp"
#include "running_threads.hpp"
#include "transports.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Bytes;
using test::ending_of;
using test::PortKind;

/// Bytes that tell their place.
Bytes pattern(std::size_t size, std::size_t seed = 0) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>((i * 31 + seed * 7 + (i >> 8U)) & 0xffU);
  return bytes;
}

std::vector<Bytes> collect(ReceivedBlocks blocks) {
  std::vector<Bytes> all;
  for (const auto block : blocks) all.emplace_back(block.begin(), block.end());
  return all;
}

class PortStreams : public ::testing::TestWithParam<std::tuple<PortKind, StreamReading>> {
 protected:
  PortKind kind() const { return std::get<0>(GetParam()); }
  PortStreamOptions options() const { return {.ack_timeout = 20s, .reading = reading()}; }
  StreamReading reading() const { return std::get<1>(GetParam()); }
  /// Fits into a ring of 4 KiB.
  static constexpr std::size_t kBlock = 1000;

  test::Watchdog watchdog_{60s, "a stream test"};
};

std::string parameter_name(const ::testing::TestParamInfo<std::tuple<PortKind, StreamReading>>& info) {
  return test::name_of(std::get<0>(info.param)) + test::name_of(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Ports, PortStreams,
                         ::testing::Combine(::testing::ValuesIn(test::kPortKinds),
                                            ::testing::ValuesIn(test::kStreamReadings)),
                         parameter_name);

/// What takes either by one thread, one inside the other.
class NestedPortStreams : public PortStreams {};
INSTANTIATE_TEST_SUITE_P(Ports, NestedPortStreams,
                         ::testing::Combine(::testing::ValuesIn(test::kPortKinds),
                                            ::testing::Values(StreamReading::copied)),
                         parameter_name);

TEST_P(PortStreams, CarryBlocksInOrderAndWhole) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::vector<Bytes> sent;
  for (std::size_t i = 0; i < 500; ++i) sent.push_back(pattern(i % (kBlock + 1), i));
  auto sending = std::async(std::launch::async, [&] { return create_port_stream(a, options()).send(sent); });
  auto receiver = create_port_stream(b, options());
  EXPECT_EQ(collect(receiver.receive()), sent);
  const StreamTotals totals = sending.get();
  EXPECT_EQ(totals.blocks, 500U);
  EXPECT_EQ(receiver.receive_progress().bytes, totals.bytes);
}

TEST_P(PortStreams, CarryAnEmptyStream) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto sending = std::async(std::launch::async,
                            [&] { return create_port_stream(a, options()).send(std::vector<Bytes>()); });
  auto receiver = create_port_stream(b, options());
  EXPECT_TRUE(collect(receiver.receive()).empty());
  EXPECT_EQ(sending.get().blocks, 0U);
}

TEST_P(PortStreams, CutBlocksAcrossPiecesAndDropEmptyOnes) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto with_chunks = options();
  with_chunks.chunk_bytes = 5;
  const std::vector<Bytes> pieces{pattern(3), {}, pattern(4, 1), pattern(9, 2)};
  auto sending = std::async(std::launch::async, [&] { create_port_stream(a, with_chunks).send(pieces); });
  std::vector<std::size_t> sizes;
  for (const Bytes& block : collect(create_port_stream(b, options()).receive()))
    sizes.push_back(block.size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{5, 5, 5, 1}));
  sending.get();
}

TEST_P(PortStreams, FollowEachOtherOnOnePort) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto sending = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(a, options());
    for (std::size_t i = 0; i < 50; ++i) stream.send(std::vector<Bytes>(i % 4, pattern(100, i)));
  });
  auto receiver = create_port_stream(b, options());
  for (std::size_t i = 0; i < 50; ++i)
    EXPECT_EQ(collect(receiver.receive()), std::vector<Bytes>(i % 4, pattern(100, i))) << i;
  sending.get();
}

TEST_P(PortStreams, RunStopAndWaitWithoutCredits) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto no_credits = options();
  no_credits.window_bytes = 0;
  std::atomic<std::uint64_t> most_in_flight{0};
  const std::vector<Bytes> blocks(100, pattern(kBlock));
  auto sending = std::async(std::launch::async, [&] {
    create_port_stream(a, options()).send(blocks, {.on_progress = [&](const SendProgress& progress) {
                                            most_in_flight =
                                                std::max(most_in_flight.load(), progress.bytes_in_flight);
                                          }});
  });
  EXPECT_EQ(collect(create_port_stream(b, no_credits).receive()).size(), 100U);
  sending.get();
  EXPECT_EQ(most_in_flight, kBlock);
}

TEST_P(PortStreams, KeepNoMoreInFlightThanTheWindow) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto small_window = options();
  small_window.window_bytes = 3000;
  std::atomic<std::uint64_t> most_in_flight{0};
  auto sending = std::async(std::launch::async, [&] {
    create_port_stream(a, options())
        .send(std::vector<Bytes>(300, pattern(kBlock)), {.on_progress = [&](const SendProgress& progress) {
                most_in_flight = std::max(most_in_flight.load(), progress.bytes_in_flight);
              }});
  });
  EXPECT_EQ(collect(create_port_stream(b, small_window).receive()).size(), 300U);
  sending.get();
  EXPECT_LE(most_in_flight, 3000U);
}

TEST_P(PortStreams, AcknowledgeABlockOnlyWhenTheLoopComesBack) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::atomic<std::uint64_t> acknowledged{0};
  auto sending = std::async(std::launch::async, [&] {
    create_port_stream(a, options())
        .send(std::vector<Bytes>(3, pattern(10)), {.on_progress = [&](const SendProgress& progress) {
                acknowledged = progress.bytes_acknowledged;
              }});
  });
  auto receiver = create_port_stream(b, options());
  std::uint64_t finished = 0;
  for (const auto block : receiver.receive()) {
    EXPECT_LE(acknowledged, finished);
    finished += block.size();
  }
  sending.get();
  EXPECT_EQ(acknowledged, 30U);
}

TEST_P(PortStreams, TellTheSenderWhyTheConsumerFailed) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::string reason;
  auto sending = std::async(std::launch::async, [&] {
    return ending_of([&] { create_port_stream(a, options()).send(std::vector<Bytes>(5000, pattern(100))); },
                     nullptr, &reason);
  });
  auto receiver = create_port_stream(b, options());
  std::size_t seen = 0;
  EXPECT_THROW(receiver.receive([&](std::span<const std::byte> /*block*/) {
    if (++seen == 20) throw std::out_of_range("no room on shelf 7");
  }),
               std::out_of_range);
  EXPECT_EQ(sending.get(), stream_errc::rejected);
  EXPECT_EQ(reason, "no room on shelf 7");
  EXPECT_EQ(seen, 20U);
}

TEST_P(PortStreams, StopTheSenderWhenTheLoopIsLeft) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  SendProgress progress;
  std::string reason;
  auto sending = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(a, options());
    const auto ending =
        ending_of([&] { stream.send(std::vector<Bytes>(100'000, pattern(100))); }, nullptr, &reason);
    progress = stream.send_progress();
    return ending;
  });
  auto receiver = create_port_stream(b, options());
  std::size_t seen = 0;
  for ([[maybe_unused]] const auto block : receiver.receive()) {
    if (++seen == 7) break;
  }
  EXPECT_EQ(sending.get(), stream_errc::rejected);
  EXPECT_EQ(reason, "Receiver closed the stream");
  // Everything up to the block at which the loop was left was handled.
  EXPECT_EQ(progress.bytes_acknowledged, 700U);
}

TEST_P(PortStreams, GoOnWithTheNextStreamAfterOneThatWasRefused) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto sending = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(a, options());
    const auto first = ending_of([&] { stream.send(std::vector<Bytes>(3000, pattern(100))); });
    stream.send(std::vector<Bytes>(5, pattern(50)));
    return first;
  });
  auto receiver = create_port_stream(b, options());
  for ([[maybe_unused]] const auto block : receiver.receive()) break;
  EXPECT_EQ(collect(receiver.receive()), std::vector<Bytes>(5, pattern(50)));
  EXPECT_EQ(sending.get(), stream_errc::rejected);
}

TEST_P(PortStreams, PassOnTheSourcesExceptionAndTellTheReceiver) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto sending = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(a, options());
    const Bytes block = pattern(10);
    int left = 3;
    EXPECT_THROW(stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
      if (left-- == 0) throw std::domain_error("disk on fire \xc3\xa9");
      return block;
    })),
                 std::domain_error);
    stream.send(std::vector<Bytes>{pattern(1)});
  });
  auto receiver = create_port_stream(b, options());
  std::size_t seen = 0;
  std::string reason;
  EXPECT_EQ(ending_of([&] { receiver.receive([&](auto /*block*/) { ++seen; }); }, nullptr, &reason),
            stream_errc::sender_failed);
  EXPECT_EQ(seen, 3U);
  EXPECT_EQ(reason, "disk on fire \xc3\xa9");
  EXPECT_EQ(collect(receiver.receive()).size(), 1U);
  sending.get();
}

TEST_P(PortStreams, EndAtOnceWhenThePeerCloses) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto sending = std::async(std::launch::async, [&] {
    return ending_of(
        [&] { create_port_stream(a, options()).send(std::vector<Bytes>(100'000, pattern(100))); });
  });
  {
    auto receiver = create_port_stream(b, options());
    std::size_t seen = 0;
    EXPECT_EQ(ending_of([&] {
                for ([[maybe_unused]] const auto block : receiver.receive()) {
                  if (++seen == 10) b.close();
                }
              }),
              stream_errc::closed);
  }
  EXPECT_EQ(sending.get(), stream_errc::closed);
}

TEST_P(PortStreams, ReportAReceiverThatWaitsWhileThePeerCloses) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto receiving = std::async(std::launch::async, [&] {
    return ending_of([&] { collect(create_port_stream(b, options()).receive()); });
  });
  a.close();
  EXPECT_EQ(receiving.get(), stream_errc::closed);
}

TEST_P(PortStreams, TimeOutWhenNothingIsAnswered) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto impatient = options();
  impatient.ack_timeout = 50ms;
  impatient.linger = 10ms;
  EXPECT_EQ(ending_of([&] { create_port_stream(a, impatient).send(std::vector<Bytes>(2, pattern(1))); }),
            stream_errc::timed_out);
}

TEST_P(PortStreams, TimeOutWhenNothingComesAndThatWasAskedFor) {
  auto ports = test::make_ports(kind());
  auto& b = ports.second;
  auto impatient = options();
  impatient.idle_timeout = 50ms;
  impatient.linger = 10ms;
  EXPECT_EQ(ending_of([&] { collect(create_port_stream(b, impatient).receive()); }), stream_errc::timed_out);
}

TEST_P(PortStreams, StopWhereverTheyWaitWhenAsked) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::stop_source stop;
  auto receiving = std::async(std::launch::async, [&, token = stop.get_token()] {
    return ending_of(
        [&] { collect(create_port_stream(b, options()).receive(ReceiveOptions{.stop = token})); });
  });
  stop.request_stop();
  EXPECT_EQ(receiving.get(), stream_errc::cancelled);

  std::stop_source stop_send;
  auto quick = options();
  quick.linger = 10ms;
  auto sending = std::async(std::launch::async, [&, token = stop_send.get_token()] {
    return ending_of(
        [&] { create_port_stream(a, quick).send(std::vector<Bytes>(2, pattern(1)), {.stop = token}); });
  });
  stop_send.request_stop();
  EXPECT_EQ(sending.get(), stream_errc::cancelled);
}

TEST_P(PortStreams, BeginBeforeThePeerReceives) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::promise<void> first_block_sent;
  auto sending = std::async(std::launch::async, [&] {
    bool told = false;
    create_port_stream(a, options())
        .send(std::vector<Bytes>(100, pattern(100)), {.on_progress = [&](const SendProgress& /*progress*/) {
                if (!std::exchange(told, true)) first_block_sent.set_value();
              }});
  });
  first_block_sent.get_future().wait();
  EXPECT_EQ(collect(create_port_stream(b, options()).receive()).size(), 100U);
  sending.get();
}

TEST_P(PortStreams, RunInBothDirectionsAtOnce) {
  auto ports = test::make_ports(kind());
  for (const std::uint32_t window : {0U, 1500U, 1U << 20U}) {
    const auto blocks_of = [](std::size_t side) {
      std::vector<Bytes> blocks;
      for (std::size_t i = 0; i < 2000; ++i) blocks.push_back(pattern((i * (side + 1)) % kBlock, i + side));
      return blocks;
    };
    const auto both = [&, window](AnyPort& port, std::size_t side) {
      auto with_window = options();
      with_window.window_bytes = window;
      auto stream = create_port_stream(port, with_window);
      auto sending = std::async(std::launch::async, [&] { return stream.send(blocks_of(side)).blocks; });
      EXPECT_EQ(collect(stream.receive()), blocks_of(1 - side));
      EXPECT_EQ(sending.get(), 2000U);
    };
    auto other = std::async(std::launch::async, [&] { both(ports.second, 1); });
    both(ports.first, 0);
    other.get();
  }
}

/// Blocks on their way from one thread to another, one at a time.
class OneBlock {
 public:
  void put(std::optional<Bytes> block) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !block_; });
    block_ = std::move(block);
    changed_.notify_all();
  }
  std::optional<Bytes> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return block_.has_value(); });
    auto block = *std::exchange(block_, std::nullopt);
    changed_.notify_all();
    return block;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::optional<Bytes>> block_;
};

TEST_P(PortStreams, EchoWithALoopThatWaitsForTheSend) {
  auto ports = test::make_ports(kind());
  std::vector<Bytes> blocks;
  for (std::size_t i = 0; i < 500; ++i) blocks.push_back(pattern(i % kBlock, i));
  auto echoing = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(ports.second, options());
    OneBlock between;
    auto sending = std::async(std::launch::async, [&] {
      std::optional<Bytes> present;
      stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
        present = between.take();
        return present ? std::optional<std::span<const std::byte>>(*present) : std::nullopt;
      }));
    });
    for (const auto block : stream.receive()) between.put(Bytes(block.begin(), block.end()));
    between.put(std::nullopt);
    sending.get();
  });
  auto stream = create_port_stream(ports.first, options());
  auto sending = std::async(std::launch::async, [&] { stream.send(blocks); });
  EXPECT_EQ(collect(stream.receive()), blocks);
  sending.get();
  echoing.get();
}

TEST_P(NestedPortStreams, AnswerFromInsideTheLoop) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto echoing = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(b, options());
    for (const auto block : stream.receive()) stream.send(Bytes(block.begin(), block.end()));
  });
  auto stream = create_port_stream(a, options());
  auto sending =
      std::async(std::launch::async, [&] { stream.send(std::vector<Bytes>(100, pattern(kBlock))); });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(collect(stream.receive()), std::vector<Bytes>{pattern(kBlock)});
  sending.get();
  echoing.get();
}

TEST_P(PortStreams, RefuseASecondOperationOfTheSameKind) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto stream = create_port_stream(a, options());
  const auto receiving = stream.receive();
  EXPECT_THROW((void)stream.receive(), error);
}

TEST_P(PortStreams, EndAtOnceWhenTheStreamIsClosedHere) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto stream = create_port_stream(a, options());
  std::promise<void> begun;
  auto receiving = std::async(std::launch::async, [&] {
    return ending_of([&] {
      auto blocks = stream.receive();
      begun.set_value();
      collect(std::move(blocks));
    });
  });
  begun.get_future().wait();
  stream.close();
  EXPECT_EQ(receiving.get(), stream_errc::cancelled);
  EXPECT_THROW((void)stream.receive(), error);
}

TEST_P(PortStreams, EndASendAtOnceWhenTheStreamIsClosedHere) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto quick = options();
  quick.linger = 1ms;
  auto stream = create_port_stream(a, quick);
  std::promise<void> begun;
  auto sending = std::async(std::launch::async, [&] {
    return ending_of([&] {
      stream.send(std::vector<Bytes>(2, pattern(1)), {.on_progress = [&](const SendProgress& progress) {
                    if (progress.blocks_sent == 1) begun.set_value();
                  }});
    });
  });
  begun.get_future().wait();
  stream.close();  // nobody answers, and the ACK's timeout is long
  EXPECT_EQ(sending.get(), stream_errc::cancelled);
  EXPECT_THROW(stream.send(Bytes(1)), error);
}

/// A send from a pipe that brings one piece, and then nothing for as long as this lives.
class SilentInput {
 public:
  explicit SilentInput(PortStream& stream, std::stop_token stop = {})
      : sending_(std::async(std::launch::async, [this, &stream, stop] {
          return ending_of([&] { stream.send_from(pipe_.first.get(), {.stop = stop}); });
        })) {
    EXPECT_EQ(::write(pipe_.second.get(), "x", 1), 1);
  }
  std::optional<stream_errc> ending() { return sending_.get(); }

 private:
  std::pair<Descriptor, Descriptor> pipe_ = test::make_pipe();
  std::future<std::optional<stream_errc>> sending_;
};

TEST_P(PortStreams, NoticeThatTheReceiverLeavesWhileTheInputIsSilent) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto sender = create_port_stream(a, options());
  auto receiver = create_port_stream(b, options());
  {
    SilentInput input(sender);
    EXPECT_THROW(receiver.receive([](auto) { throw std::runtime_error("no more"); }), std::runtime_error);
    EXPECT_EQ(input.ending(), stream_errc::rejected);
  }
  SilentInput input(sender);
  {
    auto blocks = receiver.receive();
    EXPECT_EQ((*blocks.begin()).size(), 1U);
    b.close();
  }
  EXPECT_EQ(input.ending(), stream_errc::closed);
}

TEST_P(PortStreams, EndASendWhoseInputIsSilentWhenItIsStoppedOrClosedHere) {
  auto ports = test::make_ports(kind());
  auto quick = options();
  quick.linger = 10ms;
  auto sender = create_port_stream(ports.first, quick);
  std::stop_source stop;
  {
    SilentInput input(sender, stop.get_token());
    stop.request_stop();
    EXPECT_EQ(input.ending(), stream_errc::cancelled);
  }
  EXPECT_THROW(sender.wait_for_input(0), error) << "nothing is being sent";
  auto other_ports = test::make_ports(kind());
  auto other = create_port_stream(other_ports.first, quick);
  SilentInput input(other);
  while (other.send_progress().blocks_sent == 0) std::this_thread::yield();
  other.close();
  EXPECT_EQ(input.ending(), stream_errc::cancelled);
}

TEST_P(PortStreams, RejectABlockThatCantBeWrittenSinceNobodyReadsThePipe) {
  auto ports = test::make_ports(kind());
  auto& b = ports.second;
  auto sending = std::async(std::launch::async, [&] {
    return ending_of([&] { create_port_stream(ports.first, options()).send(pattern(100)); });
  });
  auto [reading, writing] = test::make_pipe();
  const std::string name = "descriptor " + std::to_string(writing.get());
  reading.reset();
  try {
    create_port_stream(b, options()).receive_into(writing.get());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const error& failure) {
    EXPECT_EQ(failure.code(), std::errc::broken_pipe);
    EXPECT_NE(std::string(failure.what()).find(name), std::string::npos) << failure.what();
  }
  EXPECT_EQ(sending.get(), stream_errc::rejected);
}

TEST_P(PortStreams, BeginToSendWhileTheLoopHasABlock) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  auto peer = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(b, options());
    auto sending = std::async(std::launch::async, [&] { stream.send(std::vector<Bytes>(50, pattern(100))); });
    EXPECT_EQ(collect(stream.receive()), std::vector<Bytes>(200, pattern(kBlock, 1)));
    sending.get();
  });
  auto stream = create_port_stream(a, options());
  std::optional<std::future<StreamTotals>> sending;
  std::size_t seen = 0;
  for (const auto block : stream.receive()) {
    const Bytes before(block.begin(), block.end());
    if (++seen == 3) {
      std::promise<void> begins;
      sending = std::async(std::launch::async, [&] {
        begins.set_value();
        return stream.send(std::vector<Bytes>(200, pattern(kBlock, 1)));
      });
      begins.get_future().wait();
      std::this_thread::sleep_for(2ms);  // whatever the send does meanwhile: the block stays
    }
    EXPECT_EQ(Bytes(block.begin(), block.end()), before);
    EXPECT_EQ(before, pattern(100));
  }
  EXPECT_EQ(seen, 50U);
  EXPECT_EQ(sending->get().blocks, 200U);
  peer.get();
}

TEST_P(PortStreams, ReceiveWhileTheSourceOfASendHasNothingYet) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::promise<void> received;
  auto stream = create_port_stream(a, options());
  auto sending = std::async(std::launch::async, [&] {
    int pieces = 0;
    const Bytes block = pattern(10);
    return stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
      if (pieces++ == 1) received.get_future().wait();
      return pieces > 3 ? std::nullopt : std::optional<std::span<const std::byte>>(block);
    }));
  });
  auto peer = std::async(std::launch::async, [&] {
    auto other = create_port_stream(b, options());
    auto also = std::async(std::launch::async, [&] { other.send(std::vector<Bytes>(20, pattern(kBlock))); });
    EXPECT_EQ(collect(other.receive()).size(), 3U);
    also.get();
  });
  EXPECT_EQ(collect(stream.receive()).size(), 20U);
  received.set_value();
  EXPECT_EQ(sending.get().blocks, 3U);
  peer.get();
}

TEST(MovedStreams, FailTheSendInWhichTheyAreMovedAndGoOnWithTheNext) {
  auto [sender, receiver] = create_port_stream_pair();
  auto [other, end_of_other] = create_port_stream_pair();
  PortStream moved = std::move(other);
  auto receiving = std::async(std::launch::async, [&receiver = receiver] {
    EXPECT_THROW(receiver.receive([](auto) {}), error);
    return receiver.receive([](auto) {}).bytes;
  });
  const BlockSource source = [&, &sender = sender]() -> std::optional<std::span<const std::byte>> {
    moved = std::move(sender);
    static const Bytes piece(10);
    return piece;
  };
  EXPECT_THROW(sender.send(source), error);
  EXPECT_EQ(moved.send(Bytes(3)).bytes, 3U);
  EXPECT_EQ(receiving.get(), 3U);
}

TEST(MovedStreams, GoOnAndLeaveAClosedOneBehind) {
  const auto is_misuse = [](auto call) {
    try {
      call();
    } catch (const error& failure) {
      return failure.code() == errc::misuse;
    }
    return false;
  };
  auto [sender, receiver] = create_port_stream_pair();
  std::future<void> sending =
      std::async(std::launch::async, [moved = std::move(sender)]() mutable { moved.send(Bytes(3)); });
  auto old_blocks = receiver.receive();
  PortStream moved = std::move(receiver);
  ReceivedBlocks blocks = std::move(old_blocks);
  for (PortStream* stream : {&sender, &receiver}) {  // NOLINT(bugprone-use-after-move): what is tested
    EXPECT_TRUE(is_misuse([&] { stream->send(Bytes(1)); }));
    EXPECT_TRUE(is_misuse([&] { stream->send_from(0); }));
    EXPECT_TRUE(is_misuse([&] { stream->wait_for_input(0); }));
    EXPECT_TRUE(is_misuse([&] { (void)stream->receive(); }));
    EXPECT_TRUE(is_misuse([&] { stream->receive([](auto) {}); }));
    EXPECT_TRUE(is_misuse([&] { stream->receive_into(1); }));
    EXPECT_EQ(stream->send_progress().blocks_sent, 0U);
    EXPECT_EQ(stream->receive_progress().blocks, 0U);
    stream->close();
  }
  EXPECT_TRUE(is_misuse([&] { (void)old_blocks.begin(); }));  // NOLINT(bugprone-use-after-move): as above
  std::size_t bytes = 0;
  for (const auto block : blocks) bytes += block.size();
  EXPECT_EQ(bytes, 3U);
  sending.get();
}

TEST(StreamsReadByTheCaller, RefuseToSendOnTheThreadThatHasABlock) {
  auto [a, b] = create_port_stream_pair();
  auto sending = std::async(std::launch::async, [&, &stream = b] { return stream.send(Bytes(1)).blocks; });
  for ([[maybe_unused]] const auto block : a.receive()) {
    EXPECT_THROW(a.send(Bytes(1)), error);
  }
  EXPECT_EQ(sending.get(), 1U);
  // Between streams the same thread does both.
  auto receiving =
      std::async(std::launch::async, [&, &stream = b] { return collect(stream.receive()).size(); });
  a.send(Bytes(1));
  EXPECT_EQ(receiving.get(), 1U);
}

TEST(StreamsReadByTheCaller, GiveUpASendThatALoopWithABlockHoldsUp) {
  auto [a, b] = create_port_stream_pair({.ack_timeout = 50ms});
  auto sending = std::async(std::launch::async, [&, &stream = b] { return stream.send(Bytes(1)).blocks; });
  for ([[maybe_unused]] const auto block : a.receive()) {
    auto other = std::async(std::launch::async,
                            [&, &stream = a] { return ending_of([&] { stream.send(Bytes(1)); }); });
    EXPECT_EQ(other.get(), stream_errc::timed_out);
  }
  EXPECT_EQ(sending.get(), 1U);
}

TEST_P(PortStreams, GiveThePreviousHandlersBack) {
  auto ports = test::make_ports(kind());
  auto& a = ports.first;
  auto& b = ports.second;
  std::promise<std::string> heard;
  b.on_message([&](std::span<const std::byte> message) { heard.set_value(test::to_hex(message)); });
  auto sending = std::async(
      std::launch::async, [&] { create_port_stream(a, options()).send(std::vector<Bytes>(9, pattern(9))); });
  EXPECT_EQ(collect(create_port_stream(b, options()).receive()).size(), 9U);
  sending.get();
  b.start();
  ASSERT_EQ(a.post_message(test::from_hex("cafe")), Status::ok);
  EXPECT_EQ(heard.get_future().get(), "cafe");
}

TEST_P(PortStreams, LeaveNoThreadAndNoDescriptorBehind) {
  const auto once = [this] {
    auto ports = test::make_ports(kind());
    auto& a = ports.first;
    auto& b = ports.second;
    auto sending = std::async(std::launch::async, [&] {
      return ending_of(
          [&] { create_port_stream(a, options()).send(std::vector<Bytes>(1000, pattern(100))); });
    });
    auto receiver = create_port_stream(b, options());
    for ([[maybe_unused]] const auto block : receiver.receive()) break;
    EXPECT_EQ(sending.get(), stream_errc::rejected);
  };
  once();
  const auto descriptors = test::open_descriptors();
  const auto threads = test::running_threads();
  for (int i = 0; i < 5; ++i) once();
  EXPECT_EQ(test::open_descriptors(), descriptors);
  EXPECT_LE(test::running_threads(), threads);
}

}  // namespace
}  // namespace sluice
