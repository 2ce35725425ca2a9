// A peer that is slow, old, wrong or hostile, played frame by frame; and the faults of the published
// implementation that ours must not have.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "frames.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "sluice/ipc/stream/stream_frame.hpp"
#include "transports.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Bytes;
using test::ending_of;
using test::from_hex;
using test::hex_of_text;
using test::RawPeer;

class StreamFaults : public ::testing::TestWithParam<test::StreamWay> {
 protected:
  StreamFaults() { use(test::PortKind::shared_memory); }
  void use(test::PortKind kind) { use(test::make_ports(kind)); }
  void use(test::PortPair ports) {
    ports_ = std::move(ports);
    test::prepare(ports_.second, GetParam());
  }
  PortStreamOptions options() const {
    return {.ack_timeout = 10s, .window_bytes = 0, .reading = test::reading_of(GetParam())};
  }
  PortStreamOptions with_window(std::uint32_t window) const {
    auto changed = options();
    changed.window_bytes = window;
    return changed;
  }

  /// Receives one stream on our side; block k of the consumer's calls goes to `consumer`.
  std::future<std::optional<stream_errc>> receive(PortStreamOptions with, BlockConsumer consumer = {}) {
    return std::async(std::launch::async, [this, with, consumer = std::move(consumer)] {
      return ending_of(
          [&] {
            auto stream = create_port_stream(ports_.second, with);
            stream.receive(consumer ? consumer : [](auto /*block*/) {});
          },
          &text_, &reason_);
    });
  }
  std::future<std::optional<stream_errc>> send(std::vector<Bytes> blocks) {
    return std::async(std::launch::async, [this, blocks = std::move(blocks)] {
      return ending_of([&] { create_port_stream(ports_.second, options()).send(blocks); }, &text_, &reason_);
    });
  }

  test::PortPair ports_;
  RawPeer peer_{ports_.first};
  std::string text_;
  std::string reason_;
  test::Watchdog watchdog_{60s, "a stream fault test"};
};

INSTANTIATE_TEST_SUITE_P(Ways, StreamFaults, ::testing::ValuesIn(test::kStreamWays),
                         [](const auto& way) { return test::name_of(way.param); });

// Fault 1: a consumer that stops or throws.

TEST_P(StreamFaults, RejectTheBlockAtWhichTheConsumerFailed) {
  auto receiving = std::async(std::launch::async, [&] {
    auto stream = create_port_stream(ports_.second, options());
    try {
      stream.receive([](auto /*block*/) { throw std::runtime_error("full"); });
    } catch (const std::runtime_error& failure) {
      return std::string(failure.what());
    }
    return std::string();
  });
  peer_.post("0000000000aa");
  EXPECT_EQ(peer_.next(), "010000000000" + hex_of_text("\"full\""));
  peer_.post("0300000001" + hex_of_text("\"Receiver closed the stream\""));
  EXPECT_EQ(receiving.get(), "full");
}

TEST_P(StreamFaults, AcknowledgeTheBlockAtWhichTheLoopWasLeftAndRejectWhatComesLater) {
  auto stream = create_port_stream(ports_.second, options());
  peer_.post("0000000000aa");
  auto receiving = std::async(std::launch::async, [&] {
    for ([[maybe_unused]] const auto block : stream.receive()) break;
  });
  EXPECT_EQ(peer_.next(), "010000000001");
  for (const char* id : {"00000001", "00000002"}) {
    peer_.post(std::string("00") + id + "bb");
    EXPECT_EQ(peer_.next(), std::string("01") + id + "00" + hex_of_text("\"Receiver closed the stream\""));
  }
  peer_.post("0300000003" + hex_of_text("\"x\""));
  receiving.get();
  // The next stream is another one.
  auto next = std::async(std::launch::async, [&] { return stream.receive([](auto /*block*/) {}); });
  peer_.post("0000000000cc");
  EXPECT_EQ(peer_.next(), "010000000001");
  peer_.post("0200000001");
  EXPECT_EQ(next.get().blocks, 1U);
}

TEST_P(StreamFaults, RejectWhatWasQueuedWhenTheConsumerFailed) {
  auto stream = create_port_stream(ports_.second, with_window(1000));
  for (const char* block : {"0000000000aa", "0000000001ab", "0000000002ac", "0200000003"}) peer_.post(block);
  EXPECT_THROW(stream.receive([](auto /*block*/) { throw std::runtime_error("no"); }), std::runtime_error);
  // One rejection answers all that came, or each gets its own; the last one names the last block.
  std::string answer;
  do {
    answer = peer_.next();
    ASSERT_GE(answer.size(), 12U) << answer;
    EXPECT_EQ(answer.substr(10, 2), "00") << answer;
  } while (answer.substr(0, 10) != "0100000002" && answer.substr(0, 2) == "01");
}

// Fault 2: the peer goes away.

TEST_P(StreamFaults, EndAtOnceWhenThePeerClosesBeforeItsEnd) {
  auto receiving = receive(options());
  peer_.post("0000000000aa");
  EXPECT_EQ(peer_.next(), "010000000001");
  peer_.close();
  EXPECT_EQ(receiving.get(), stream_errc::closed);
}

TEST_P(StreamFaults, EndAtOnceWhenThePeerClosesBeforeItsAnswer) {
  auto sending = send({Bytes(1), Bytes(1)});
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.close();
  EXPECT_EQ(sending.get(), stream_errc::closed);
}

TEST_P(StreamFaults, EndAtOnceWhenThePeerClosesBeforeItsLastAnswer) {
  auto sending = send({Bytes(1)});
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.close();
  EXPECT_EQ(sending.get(), stream_errc::closed);
}

TEST_P(StreamFaults, DeliverAStreamWholeWhosePeerClosedAfterItsEnd) {
  for (const char* frame : {"0000000000aa", "0000000001ab", "0200000002"}) peer_.post(frame);
  peer_.close();
  std::size_t seen = 0;
  EXPECT_EQ(receive(options(), [&](auto /*block*/) { ++seen; }).get(), std::nullopt) << text_;
  EXPECT_EQ(seen, 2U);
}

// Fault 3: the reason.

TEST_P(StreamFaults, ReadTheReasonOfARejection) {
  auto sending = send({Bytes(1)});
  peer_.next();
  peer_.post("010000000000" + hex_of_text("\"disk full\""));
  EXPECT_EQ(peer_.next(), "0300000001" + hex_of_text("\"Receiver closed the stream\""));
  EXPECT_EQ(sending.get(), stream_errc::rejected);
  EXPECT_EQ(reason_, "disk full");
}

TEST_P(StreamFaults, TakeEveryAnswerThatIsNotOneAsARejection) {
  for (const char* payload : {"", "00", "02", "ff01"}) {
    auto sending = send({Bytes(1)});
    peer_.next();
    peer_.post("0100000000" + std::string(payload));
    EXPECT_EQ(peer_.next().substr(0, 10), "0300000001");
    EXPECT_EQ(sending.get(), stream_errc::rejected) << payload;
  }
}

// Fault 5: the ids of answers.

TEST_P(StreamFaults, IgnoreAnswersThatCameBefore) {
  auto sending = send({Bytes(1), Bytes(1), Bytes(1)});
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.post("010000000001");
  EXPECT_EQ(peer_.next(), "000000000100");
  peer_.post("010000000001");  // a duplicate must not count for block 1
  EXPECT_EQ(peer_.next(50ms), "timed out");
  peer_.post("010000000101");
  EXPECT_EQ(peer_.next(), "000000000200");
  peer_.post("010000000201");
  EXPECT_EQ(peer_.next(), "0200000003");
  EXPECT_EQ(sending.get(), std::nullopt) << text_;
}

TEST_P(StreamFaults, FailOnAnAnswerToABlockNeverSent) {
  for (const char* id : {"00000001", "ffffffff", "80000000"}) {
    auto sending = send({Bytes(1)});
    EXPECT_EQ(peer_.next(), "000000000000");
    peer_.post(std::string("01") + id + "01");
    EXPECT_EQ(peer_.next().substr(0, 10), "0300000001");
    peer_.post("010000000001");
    EXPECT_EQ(sending.get(), stream_errc::protocol) << id;
  }
}

TEST_P(StreamFaults, IgnoreALateAnswerOfAFailedStreamInTheNextOne) {
  auto quick = options();
  quick.ack_timeout = 2s;
  quick.linger = 1ms;
  auto stream = create_port_stream(ports_.second, quick);
  const Bytes block(1);
  bool thrown = false;
  EXPECT_THROW(stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
    if (std::exchange(thrown, true)) throw std::runtime_error("source");
    return block;
  })),
               std::runtime_error);
  EXPECT_EQ(peer_.next(), "000000000000");
  EXPECT_EQ(peer_.next().substr(0, 10), "0300000001");
  auto sending =
      std::async(std::launch::async, [&] { return ending_of([&] { stream.send(block); }, &text_); });
  EXPECT_EQ(peer_.next(20ms), "timed out");  // waits for the answer that is owed
  peer_.post("010000000001");
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.post("010000000001");
  EXPECT_EQ(peer_.next(), "0200000001");
  EXPECT_EQ(sending.get(), std::nullopt) << text_;
}

// Fault 6: what ERROR may carry.

TEST_P(StreamFaults, QuoteAnErrorThatIsNoJsonString) {
  for (const auto& [payload, expected] :
       std::vector<std::pair<std::string, std::string>>{{"", "\"\""},
                                                        {"boom", "\"boom\""},
                                                        {R"({"a":1})", R"("{\"a\":1}")"},
                                                        {R"("unfinished)", R"("\"unfinished")"},
                                                        {"\xff\xfe", R"("\xff\xfe")"}}) {
    auto receiving = receive(options());
    peer_.post("0300000000" + hex_of_text(payload));
    EXPECT_EQ(receiving.get(), stream_errc::sender_failed);
    EXPECT_EQ(reason_, expected);
  }
}

TEST_P(StreamFaults, EscapeWhatATerminalWouldObeyInThePeersWords) {
  const std::string words = R"("stored\n\u001b[2J\u001b]0;owned\u0007 \u009b8m \u202egpj.exe caf\u00e9")";
  const std::string expected = R"(stored\x0a\x1b[2J\x1b]0;owned\x07 \xc2\x9b8m \xe2\x80\xaegpj.exe caf)"
                               "\xc3\xa9";
  auto receiving = receive(options());
  peer_.post("0300000000" + hex_of_text(words));
  EXPECT_EQ(receiving.get(), stream_errc::sender_failed);
  EXPECT_EQ(reason_, expected);
  EXPECT_NE(text_.find(expected), std::string::npos) << text_;

  auto sending = send({Bytes(1)});
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.post("010000000000" + hex_of_text(words));
  EXPECT_EQ(sending.get(), stream_errc::rejected);
  EXPECT_EQ(reason_, expected);
  EXPECT_NE(text_.find(expected), std::string::npos) << text_;
}

TEST_P(StreamFaults, KeepOnlyABoundedPieceOfThePeersWords) {
  auto receiving = receive(options());
  peer_.post("0300000000" + hex_of_text('"' + std::string(10'000, 'x') + '"'));
  EXPECT_EQ(receiving.get(), stream_errc::sender_failed);
  EXPECT_EQ(reason_, std::string(1024, 'x') + "... (10000 bytes)");
}

TEST_P(StreamFaults, BoundAHugeErrorMessage) {
  use(test::PortKind::bytes);
  RawPeer peer(ports_.first);
  Bytes huge(12U << 20U, std::byte{'x'});
  huge[0] = std::byte{3};
  for (std::size_t i = 1; i < 5; ++i) huge[i] = std::byte{0};
  auto receiving = receive(options());
  ASSERT_EQ(ports_.first.post_message(huge), Status::ok);
  EXPECT_EQ(receiving.get(), stream_errc::sender_failed);
  EXPECT_LT(reason_.size(), 1000U);
  EXPECT_NE(reason_.find("12582907 bytes"), std::string::npos) << reason_;
}

TEST_P(StreamFaults, KeepOnlyAPieceOfAnErrorOfAHundredMegabytes) {
  constexpr std::size_t kHuge = 100'000'000;
  auto [a, b] = test::make_socket_pair(SOCK_STREAM);
  const NativePortOptions large{.max_message_bytes = 2 * kHuge};
  use({AnyPort(wrap_native_port(std::move(a), large)), AnyPort(wrap_native_port(std::move(b), large))});
  auto receiving = receive(options());
  Bytes huge(kHuge, std::byte{'x'});
  std::fill_n(huge.begin(), 5, std::byte{0});
  huge[0] = std::byte{3};
  ASSERT_EQ(ports_.first.post_message(huge), Status::ok);
  EXPECT_EQ(receiving.get(), stream_errc::sender_failed);
  EXPECT_LT(reason_.size(), 1000U);
  EXPECT_NE(reason_.find("99999995 bytes"), std::string::npos) << reason_;
}

TEST_P(StreamFaults, EndAtAnErrorThatIsLargerThanThePortAllows) {
  use(test::PortKind::bytes);
  auto [theirs, ours] = test::make_socket_pair(SOCK_STREAM);
  use({AnyPort(), AnyPort(wrap_native_port(std::move(ours)))});
  auto receiving = receive(options());
  // The length alone, 100,000,000, is refused: nothing is read, and no memory taken, for it.
  const Bytes length = from_hex("00e1f50503");
  ASSERT_EQ(::write(theirs.get(), length.data(), length.size()), 5);
  EXPECT_EQ(receiving.get(), stream_errc::port_failed);
  EXPECT_NE(text_.find("100000000"), std::string::npos) << text_;
}

// Bad input.

TEST_P(StreamFaults, IgnoreShortFramesAndUnknownTypes) {
  auto receiving = receive(options());
  for (const char* noise : {"", "00", "00000000", "0400000000", "0500000000aa", "ff00000000"})
    peer_.post(noise);
  peer_.post("010000000501");  // an answer to nothing
  peer_.post("0000000000aa");
  EXPECT_EQ(peer_.next(), "010000000001");
  peer_.post("0200000001ffff");  // END's payload is ignored
  EXPECT_EQ(receiving.get(), std::nullopt) << text_;
}

TEST_P(StreamFaults, RefuseIdsThatJumpOrRepeat) {
  for (const char* id : {"00000002", "00000000", "ffffffff"}) {
    auto receiving = receive(options());
    peer_.post("0000000000aa");
    EXPECT_EQ(peer_.next(), "010000000001");
    peer_.post(std::string("00") + id + "bb");
    const std::string answer = peer_.next();
    EXPECT_EQ(answer.substr(0, 12), std::string("01") + id + "00");
    peer_.post("0300000002" + hex_of_text("\"sorry\""));
    EXPECT_EQ(receiving.get(), stream_errc::protocol) << text_;
    EXPECT_NE(text_.find("expected block 1"), std::string::npos) << text_;
  }
}

TEST_P(StreamFaults, NoticeAnEndThatCountsWrong) {
  auto receiving = receive(options());
  peer_.post("0000000000aa");
  EXPECT_EQ(peer_.next(), "010000000001");
  peer_.post("0200000007");
  EXPECT_EQ(receiving.get(), stream_errc::protocol);
  EXPECT_NE(text_.find('7'), std::string::npos) << text_;
}

/// The others leave what they don't consume in the port.
TEST(StreamsReadByHandler, RefuseAPeerThatFloodsBeyondItsWindow) {
  const test::Watchdog watchdog{60s, "a flood"};
  auto [peer, ours] = make_port_pair();
  ours.start();
  auto stream = create_port_stream(ours, {.window_bytes = 1000, .tolerance_bytes = 500, .linger = 1ms});
  // Nobody consumes meanwhile: 1 block of 1000, then more than what is tolerated.
  const std::string block = std::string(2000, '5');
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(peer.post_message(from_hex("000000000" + std::to_string(i) + block)), Status::ok);
  ASSERT_EQ(peer.wait_until_consumed(), Status::ok);
  std::string text;
  EXPECT_EQ(ending_of([&] { stream.receive([](auto /*block*/) {}); }, &text), stream_errc::protocol);
  EXPECT_NE(text.find("1000 bytes"), std::string::npos) << text;
  EXPECT_EQ(test::to_hex(peer.receive().bytes()).substr(0, 12), "010000000300");  // refused, to the last
}

TEST_P(StreamFaults, EndAtAFloodOfAnswers) {
  auto stream = create_port_stream(ports_.second, options());
  std::promise<void> flooded;
  auto sending = std::async(std::launch::async, [&] {
    const Bytes block(1);
    std::size_t pieces = 0;
    return ending_of(
        [&] {
          stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
            if (++pieces == 2) flooded.get_future().wait();
            return block;
          }));
        },
        &text_);
  });
  EXPECT_EQ(peer_.next(), "000000000000");
  for (int i = 0; i < 20'000; ++i) peer_.post("010000000001");
  flooded.set_value();
  EXPECT_EQ(sending.get(), stream_errc::protocol);
  EXPECT_NE(text_.find("messages in a row that have no effect"), std::string::npos) << text_;
}

TEST_P(StreamFaults, KeepAThousandAndTwentyFourEndsThatNobodyReceivesAndEndAtOneMore) {
  for (const int ends : {1024, 1025}) {
    use(test::PortKind::shared_memory);
    auto with = options();
    if (ends == 1024) with.ack_timeout = 200ms;
    auto stream = create_port_stream(ports_.second, with);
    for (int i = 0; i < ends; ++i) peer_.post("0200000000");
    const auto ending = ending_of([&] { stream.send(Bytes(1)); }, &text_);
    EXPECT_EQ(ending, ends == 1024 ? stream_errc::timed_out : stream_errc::protocol) << text_;
  }
  EXPECT_NE(text_.find("more than 1024 streams that nobody received"), std::string::npos) << text_;
}

TEST_P(StreamFaults, FillWindowsOfEverySize) {
  for (const std::uint32_t window : {0U, 1U, 0xffffffffU}) {
    auto receiving = receive(with_window(window));
    const auto tell = std::to_string(window);
    std::optional<stream_errc> sent;
    auto sender =
        create_port_stream(ports_.first, {.ack_timeout = 10s, .reading = test::reading_of(GetParam())});
    sent = ending_of([&] { sender.send(std::vector<Bytes>(1000, Bytes(500))); }, &text_);
    EXPECT_EQ(sent, std::nullopt) << tell << text_;
    EXPECT_EQ(receiving.get(), std::nullopt) << tell << text_;
  }
}

TEST_P(StreamFaults, UseTheWindowOfAnAnswerAndFallBackWithoutOne) {
  auto sending = send(std::vector<Bytes>(6, Bytes(1)));
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.post("01000000000100000002");
  EXPECT_EQ(peer_.next(), "000000000100");
  EXPECT_EQ(peer_.next(), "000000000200");
  EXPECT_EQ(peer_.next(20ms), "timed out");  // two bytes are in flight
  peer_.post("010000000201");                // answers both; this peer knows no credits
  EXPECT_EQ(peer_.next(), "000000000300");
  EXPECT_EQ(peer_.next(20ms), "timed out");
  peer_.post("010000000301");
  EXPECT_EQ(peer_.next(), "000000000400");
  peer_.post("0100000004010000");  // too short for a window
  EXPECT_EQ(peer_.next(), "000000000500");
  peer_.post("010000000501");
  EXPECT_EQ(peer_.next(), "0200000006");
  EXPECT_EQ(sending.get(), std::nullopt) << text_;
}

TEST_P(StreamFaults, SendNothingWhileMoreIsOnItsWayThanAWindowThatShrankHolds) {
  auto sending = send(std::vector<Bytes>(5, Bytes(1)));
  EXPECT_EQ(peer_.next(), "000000000000");
  peer_.post("01000000000100000003");
  for (const char* block : {"000000000100", "000000000200", "000000000300"}) EXPECT_EQ(peer_.next(), block);
  peer_.post("01000000010100000001");  // one byte from now on, and two are on their way
  EXPECT_EQ(peer_.next(20ms), "timed out");
  peer_.post("01000000020100000001");
  EXPECT_EQ(peer_.next(20ms), "timed out");  // one is
  peer_.post("01000000030100000001");
  EXPECT_EQ(peer_.next(), "000000000400");
  peer_.post("010000000401");
  EXPECT_EQ(peer_.next(), "0200000005");
  EXPECT_EQ(sending.get(), std::nullopt) << text_;
}

TEST_P(StreamFaults, SayWhatToDoAboutABlockThatNoMessageCanHold) {
  auto sending = send({Bytes(4U << 20U)});
  EXPECT_EQ(peer_.next().substr(0, 10), "0300000001");
  peer_.post("010000000000");
  EXPECT_EQ(sending.get(), stream_errc::port_failed);
  EXPECT_NE(text_.find("chunk_bytes"), std::string::npos) << text_;
}

TEST_P(StreamFaults, GrantTheConfiguredWindow) {
  auto receiving = receive(with_window(0x12345678));
  peer_.post("0000000000aa");
  EXPECT_EQ(peer_.next(), "01000000000112345678");
  peer_.post("0200000001");
  EXPECT_EQ(receiving.get(), std::nullopt);
}

// What never stops coming.

/// Always has a message that means nothing, though not many in a second; never sends.
class NoisyPort : public test::HandlersOnlyPort {
 public:
  explicit NoisyPort(std::pair<Port, Port> ports = make_port_pair())
      : test::HandlersOnlyPort(std::move(ports.first)), other_(std::move(ports.second)) {}
  static Status post_message(std::span<const std::byte> /*message*/) { return Status::ok; }
  static bool can_receive() noexcept { return true; }
  static Message try_receive() {
    static const Bytes kNoise = from_hex("0900000000");
    std::this_thread::sleep_for(1ms);
    return Message::kept_by_port(kNoise);
  }
  static Message receive_until(Deadline /*deadline*/) { return try_receive(); }

 private:
  Port other_;
};
static_assert(PullPort<NoisyPort>);

TEST_P(StreamFaults, KeepTheirDeadlinesWhileNoiseComes) {
  auto quick = options();
  quick.ack_timeout = quick.idle_timeout = 50ms;
  quick.linger = 10ms;
  auto stream = create_port_stream(NoisyPort(), quick);
  EXPECT_EQ(ending_of([&] { stream.send(Bytes(1)); }), stream_errc::timed_out);
  EXPECT_EQ(ending_of([&] { stream.receive([](auto /*block*/) {}); }), stream_errc::timed_out);
}

TEST_P(StreamFaults, AreStoppedWhileNoiseComes) {
  auto patient = options();
  patient.ack_timeout = patient.idle_timeout = 1h;
  patient.linger = 10ms;
  for (const bool sends : {true, false}) {
    auto stream = create_port_stream(NoisyPort(), patient);
    std::stop_source stop;
    const std::jthread stopper([&] {
      std::this_thread::sleep_for(20ms);
      stop.request_stop();
    });
    EXPECT_EQ(ending_of([&] {
                if (sends) {
                  stream.send(Bytes(1), {.stop = stop.get_token()});
                } else {
                  stream.receive([](auto /*block*/) {}, {.stop = stop.get_token()});
                }
              }),
              stream_errc::cancelled);
  }
}

TEST_P(StreamFaults, EndWhenMessagesWithoutEffectGoOn) {
  for (const char* noise : {"", "68656c6c6f", "0900000000", "010000000001"}) {
    auto stream = create_port_stream(ports_.second, options());
    auto receiving = std::async(std::launch::async, [&] {
      return ending_of([&] { stream.receive([](auto /*block*/) {}); }, &text_);
    });
    for (int i = 0; i < 8192; ++i) peer_.post(noise);
    EXPECT_EQ(receiving.get(), stream_errc::protocol) << noise;
    EXPECT_NE(text_.find("8192 messages in a row"), std::string::npos) << text_;
    EXPECT_EQ(ending_of([&] { stream.send(Bytes(1)); }), stream_errc::protocol);  // it stays so
    while (ports_.first.try_receive()) {
    }
  }
}

TEST_P(StreamFaults, EndInTimeThoughThePeerReadsNoAnswers) {
  for (const char* id : {"next", "00000007"}) {  // each is answered: by an ACK, by a rejection
    use(test::PortKind::small_ring);
    auto quick = options();
    quick.ack_timeout = 1h;
    quick.idle_timeout = 50ms;
    quick.linger = 10ms;
    auto receiving = receive(quick);
    std::jthread flood([&](const std::stop_token& stop) {
      for (std::uint32_t block = 0; !stop.stop_requested(); ++block) {
        const ipc::FrameHead head(ipc::FrameType::data, id[0] == 'n' ? block : 7);
        (void)ports_.first.post_parts_until(head.bytes(), {}, deadline_in(1ms));
      }
    });
    EXPECT_NE(receiving.get(), std::nullopt) << text_;
  }
}

/// Fails in the middle of posting, as a cable that is pulled.
class FailingPort : public test::HandlersOnlyPort {
 public:
  FailingPort(Port port, int posts) : test::HandlersOnlyPort(std::move(port)), posts_left_(posts) {}
  Status post_message(std::span<const std::byte> message) {
    return posts_left_-- > 0 ? test::HandlersOnlyPort::post_message(message) : Status::broken;
  }

 private:
  int posts_left_;
};

TEST_P(StreamFaults, ReportAPortThatFailsWhilePosting) {
  auto [a, b] = make_port_pair();
  auto receiving = std::async(std::launch::async, [&, &peer = b] {
    return ending_of([&] { receive_port_stream(peer, [](auto /*block*/) {}); });
  });
  {
    auto sender = create_port_stream(FailingPort(std::move(a), 3), options());
    EXPECT_EQ(ending_of([&] { sender.send(std::vector<Bytes>(10, Bytes(5))); }), stream_errc::port_failed);
  }
  EXPECT_EQ(receiving.get(), stream_errc::closed);
}

}  // namespace
}  // namespace sluice
