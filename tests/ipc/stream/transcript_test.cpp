// Replays exchanges recorded outside the project, and exchanges of two independent endpoints recorded now,
// playing each side in turn: what ours posts must agree byte for byte.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "frames.hpp"
#include "places.hpp"
#include "python.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transports.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Bytes;
using test::ending_of;
using test::from_hex;
using test::RawPeer;

struct Event {
  bool of_sender;
  std::string hex;
};

struct Exchange {
  std::string name;
  std::vector<Event> events;
};

// Both kinds, as JSON; says which one is missing.
nlohmann::json recordings() {
  auto all = nlohmann::json::array();
  const auto path = std::filesystem::path(sluice::test::vectors_dir()) / "port_stream.json";
  if (std::ifstream file(path); file) {
    all = nlohmann::json::parse(file);
  } else {
    std::cout << path << " isn't there\n";
  }
  const auto recording = test::run_python({test::source_dir() + "/tests/ipc/stream/record_exchanges.py"});
  if (recording.status.ok()) {
    for (auto& exchange : nlohmann::json::parse(recording.output)) all.push_back(std::move(exchange));
  } else {
    std::cout << "nothing recorded now: " << recording.output << "\n";
  }
  return all;
}

std::vector<Exchange> recorded() {
  std::vector<Exchange> all;
  for (const auto& entry : recordings()) {
    Exchange exchange{entry["name"], {}};
    for (const auto& event : entry["events"]) {
      const std::string direction = event["dir"];
      if (direction == "app") continue;
      exchange.events.push_back({direction.starts_with("S>R"), event["v"]});
    }
    all.push_back(std::move(exchange));
  }
  return all;
}

class Transcripts : public ::testing::TestWithParam<StreamReading> {
 protected:
  void SetUp() override {
    if (exchanges_.empty()) GTEST_SKIP() << "no recorded exchanges, and none could be made";
  }
  /// Posts what the other side said, expects what ours said.
  void play(const Exchange& exchange, bool ours_sends) {
    for (const Event& event : exchange.events) {
      if (event.of_sender == ours_sends) {
        EXPECT_EQ(peer_.next(), event.hex) << exchange.name;
      } else {
        peer_.post(event.hex);
      }
    }
  }

  std::vector<Exchange> exchanges_ = recorded();
  test::PortPair ports_ = test::make_ports(test::PortKind::shared_memory);
  RawPeer peer_{ports_.first};
  PortStreamOptions options_{.ack_timeout = 10s, .window_bytes = 0, .reading = GetParam()};
  test::Watchdog watchdog_{60s, "a transcript"};
};

INSTANTIATE_TEST_SUITE_P(Uses, Transcripts, ::testing::ValuesIn(test::kStreamReadings),
                         [](const auto& use) { return test::name_of(use.param); });

TEST_P(Transcripts, OurReceiverAnswersLikeTheRecordedOne) {
  for (const Exchange& exchange : exchanges_) {
    if (exchange.name.starts_with("sender_ack")) continue;  // of a receiver played by hand
    auto receiving = std::async(std::launch::async, [&] {
      std::string reason;
      const auto ending =
          ending_of([&] { create_port_stream(ports_.second, options_).receive([](auto /*block*/) {}); },
                    nullptr, &reason);
      return std::pair(ending, reason);
    });
    play(exchange, false);
    const auto [ending, reason] = receiving.get();
    const bool fails = exchange.events.back().hex.starts_with("03");
    EXPECT_EQ(ending, fails ? std::optional(stream_errc::sender_failed) : std::nullopt) << exchange.name;
    if (fails) {
      EXPECT_EQ(reason, exchange.name == "sender_error_mid_stream" ? "Test sender error \xc3\xa9" : "boom");
    }
  }
}

TEST_P(Transcripts, OurSenderSpeaksLikeTheRecordedOne) {
  for (const Exchange& exchange : exchanges_) {
    if (exchange.name.starts_with("receiver_")) continue;  // of a sender played by hand
    const bool rechunks = exchange.name == "chunked_reblocking";
    std::vector<Bytes> blocks;
    for (const Event& event : exchange.events) {
      if (event.hex.starts_with("00") && event.of_sender) blocks.push_back(from_hex(event.hex.substr(10)));
    }
    if (rechunks) {
      blocks = {from_hex("010203"), {}, from_hex("04050607"), from_hex("08090a0b0c0d0e0f10")};
      options_.chunk_bytes = 5;
    }
    auto sending = std::async(std::launch::async, [&] {
      auto stream = create_port_stream(ports_.second, options_);
      auto block = blocks.begin();
      const BlockSource source = [&]() -> std::optional<std::span<const std::byte>> {
        if (block != blocks.end()) return *block++;
        if (exchange.name == "sender_error_mid_stream")
          throw std::runtime_error("Test sender error \xc3\xa9");
        return std::nullopt;
      };
      try {
        stream.send(source);
      } catch (const std::exception& failure) {
        return std::string(failure.what());
      }
      return std::string();
    });
    play(exchange, true);
    const std::string ending = sending.get();
    EXPECT_EQ(ending.empty(), !exchange.events.back().hex.starts_with("03"))
        << exchange.name << ": " << ending;
    options_.chunk_bytes = 0;
  }
}

}  // namespace
}  // namespace sluice
