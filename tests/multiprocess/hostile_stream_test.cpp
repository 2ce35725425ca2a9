// A peer that floods a stream with frames that mean nothing, or mean it badly: nothing of ours hangs or
// grows.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <future>
#include <ostream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "frames.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Bytes;
using test::ending_of;
using test::from_hex;
using test::hex_of_text;

/// What the peer says, over and over.
struct Noise {
  const char* name;
  std::vector<std::string> frames;

  friend void PrintTo(const Noise& noise, std::ostream* out) { *out << noise.name; }
};

const std::string kLongText = hex_of_text('"' + std::string(16'000, 'x') + '"');

const std::vector<Noise> kNoises{
    {"UnknownTypes", {"0900000000"}},
    {"ShortFrames", {"01000000"}},
    {"EmptyMessages", {""}},
    {"Text", {hex_of_text("hello")}},
    {"AnswersToNothing", {"010000004d01"}},
    {"RepeatedAnswers", {"010000000001"}},
    {"RepeatedCredits", {"01000000000100001000"}},
    {"RepeatedRejections", {"010000000000" + kLongText}},
    {"AnswersOfEitherKind", {"010000000001", "010000000100" + kLongText}},
    {"BlocksOutOfTurn", {"000000004d00"}},
    {"TheSameBlock", {"000000000000"}},
    {"EmptyBlocks", {"0000000000", "0000000001"}},
    {"BlocksOutOfTurnThatEnd", {"000000004d00", "0200000000"}},
    {"BlocksOutOfTurnThatFail", {"000000004d00", "0300000000" + kLongText}},
    {"Ends", {"0200000000"}},
    {"EndsThatCountWrong", {"0200000007"}},
    {"Errors", {"0300000000" + kLongText}},
    {"ErrorsWithoutText", {"0300000000"}},
    {"ErrorsOfAMillionBytes", {"0300000000" + hex_of_text(std::string(500'000, '\x1b'))}},
    {"LargeBlocks", {"0000000000" + std::string(1'000'000, '0'), "0200000001"}},
};

/// The most memory that this process ever held.
long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class HostileStreamPeers : public ::testing::TestWithParam<std::tuple<Noise, test::StreamWay>> {
 protected:
  PortStreamOptions options() const {
    return {.ack_timeout = 200ms,
            .idle_timeout = 200ms,
            .linger = 50ms,
            .reading = test::reading_of(std::get<1>(GetParam()))};
  }
  static void flood(Port& port) {
    std::vector<Bytes> frames;
    for (const std::string& hex : std::get<0>(GetParam()).frames) frames.push_back(from_hex(hex));
    for (;;) {
      for (const Bytes& frame : frames) {
        if (port.post_message(frame) != Status::ok) return;
      }
    }
  }

  test::TestChannel channel_;
  test::Watchdog watchdog_{60s, "a stream with a hostile peer"};
};

INSTANTIATE_TEST_SUITE_P(Noises, HostileStreamPeers,
                         ::testing::Combine(::testing::ValuesIn(kNoises),
                                            ::testing::ValuesIn(test::kStreamWays)),
                         [](const auto& noise) {
                           return std::get<0>(noise.param).name + test::name_of(std::get<1>(noise.param));
                         });

TEST_P(HostileStreamPeers, EndEveryCallInTimeAndCostNoMemory) {
  Listener listener = listen(channel_.path());
  auto child = test::connecting_child(channel_, [](Port& port) { flood(port); }, {.ring_bytes = 4U << 20U});
  Port port = listener.accept();
  test::prepare(port, std::get<1>(GetParam()));
  const std::vector<Bytes> blocks(100, Bytes(1000));
  const auto ignore = [](std::span<const std::byte> /*block*/) {};
  const long before = peak_kib();
  std::vector<std::string> endings(3);
  {
    auto stream = create_port_stream(port, options());
    (void)ending_of([&] { stream.send(blocks); }, endings.data());
    // As a program does that serves one stream after another.
    for (int i = 0; i < 20; ++i) (void)ending_of([&] { stream.receive(ignore); }, &endings[1]);
  }
  {
    auto stream = create_port_stream(port, options());
    auto sending = std::async(std::launch::async, [&] { (void)ending_of([&] { stream.send(blocks); }); });
    (void)ending_of([&] { stream.receive(ignore); });
    sending.get();
  }
  {
    auto stream = create_port_stream(port, options());
    std::this_thread::sleep_for(300ms);  // nobody is inside; the delivery thread may read
  }
  {
    auto patient = options();
    patient.ack_timeout = patient.idle_timeout = 1h;
    for (const bool sends : {true, false}) {
      auto stream = create_port_stream(port, patient);
      std::stop_source stop;
      std::jthread stopper([&] {
        std::this_thread::sleep_for(50ms);
        stop.request_stop();
      });
      (void)ending_of([&] {
        for (;;) {  // until it is stopped
          if (sends) {
            stream.send(blocks, {.stop = stop.get_token()});
          } else {
            stream.receive(ignore, {.stop = stop.get_token()});
          }
        }
      });
    }
  }
  for (const std::string& text : endings) EXPECT_LT(text.size(), 6000U);
#if !defined(__SANITIZE_ADDRESS__)  // which keeps freed memory
  EXPECT_LT(peak_kib() - before, 48 * 1024) << "KiB; " << endings[0] << "; " << endings[1];
#else
  (void)before;
#endif
  child.signal(SIGKILL);
}

}  // namespace
}  // namespace sluice
