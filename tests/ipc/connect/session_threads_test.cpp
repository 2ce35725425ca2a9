// A session whose peer is replaced again and again while both of its threads work: all in one process, for
// ThreadSanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "number_message.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "temp_directory.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

SessionOptions small_ring() {
  SessionOptions options;
  options.port.ring_bytes = 4096;
  options.replace_living_peer = true;
  return options;
}

TEST(SessionThreads, GoOnWithEachReplacementOfTheirPeer) {
  const Watchdog watchdog(100s, "replacing a peer");
  const TempDirectory directory;
  const std::string path = (directory.path() / "channel").string();
  std::optional<Port> joiner;
  std::thread first([&] { joiner.emplace(join_session(path)); });
  Port host = host_session(path, small_ring());
  first.join();

  std::atomic<bool> stop{false};
  std::thread poster([&] {
    while (!stop) {
      const std::uint64_t number = host.next_sequence();
      if (host.post_message_for(bytes_of(number), 10ms) == Status::timed_out) continue;
    }
  });
  std::atomic<std::uint64_t> received{0};
  std::thread receiver([&] {
    while (!stop) {
      const Message message = host.receive_for(10ms);
      if (!message) continue;
      EXPECT_EQ(message.sequence(), received + 1);
      EXPECT_EQ(number_in(message), message.sequence());
      received = message.sequence();
    }
  });

  std::uint64_t last = 0;  // what all joiners together have received
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 200; ++i) {
      const Message message = joiner->receive();
      ASSERT_TRUE(message) << to_string(message.status());
      ASSERT_EQ(number_in(message), message.sequence());
      ASSERT_LE(message.sequence(), last + 1);
      last = std::max(last, message.sequence());
      const std::uint64_t number = joiner->next_sequence();
      ASSERT_EQ(joiner->post_message(bytes_of(number)), Status::ok);
    }
    Port next = join_session(path);  // takes over; the one before is told
    while (joiner->is_open()) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(joiner->post_message({}), Status::superseded);
    joiner.emplace(std::move(next));
    EXPECT_EQ(joiner->session()->epoch, static_cast<std::uint64_t>(round) + 2);
  }
  while (received + 1 < joiner->next_sequence()) std::this_thread::sleep_for(1ms);
  stop = true;
  poster.join();
  receiver.join();
}

}  // namespace
}  // namespace sluice::test
