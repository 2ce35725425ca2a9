// Another process opens connections and says nothing, or stops half way: whoever keeps to the handshake gets
// in all the same, and soon. The time that one client may take is longer than any of these tests.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "handshake_messages.hpp"
#include "packet_pair.hpp"
#include "process_signal.hpp"
#include "seqpacket.hpp"
#include "session_parts.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// More than wait for their first packet at once, and less than the socket's queue holds.
constexpr int kSilent = 100;
constexpr auto kLong = 300s;
const PortOptions kSmall{.ring_bytes = 4096};

class SilentClients : public ::testing::Test {
 protected:
  /// Runs until it is killed.
  void crowd_in() {
    const ProcessSignal connected;
    crowd_.emplace([&] {
      std::vector<PacketSocket> sockets;
      for (int i = 0; i < kSilent; ++i)
        sockets.emplace_back(ipc::connect_until(path_, ::geteuid(), deadline_in(kLong)));
      connected.notify();
      ::pause();
    });
    connected.wait();
  }

  const Watchdog watchdog_{60s, "silent clients"};
  TempDirectory directory_;
  std::string path_ = directory_.file("channel").string();
  std::optional<ChildProcess> crowd_;
};

TEST_F(SilentClients, HoldUpNoListener) {
  Listener listener = listen(path_, {.port = kSmall, .handshake_timeout = kLong});
  crowd_in();
  ChildProcess client([&] {
    Port port = connect(path_, {.port = kSmall, .timeout = 30s});
    EXPECT_EQ(port.post_message("here"), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(deadline_in(30s)), Status::ok);
  });
  std::optional<Port> port = listener.accept_for(30s);
  ASSERT_TRUE(port);
  EXPECT_EQ(port->receive().text(), "here");
  EXPECT_TRUE(client.wait_for(30s)->ok());
}

TEST_F(SilentClients, HoldUpNoHost) {
  ChildProcess host([&] {
    Port port = host_session(path_, {.port = kSmall, .timeout = 30s, .handshake_timeout = kLong});
    EXPECT_EQ(port.receive().text(), "here");
  });
  crowd_in();
  Port port = join_session(path_, {.port = kSmall, .timeout = 30s});
  EXPECT_EQ(port.post_message("here"), Status::ok);
  EXPECT_TRUE(host.wait_for(30s)->ok());
}

TEST_F(SilentClients, KeepNobodyFromGoingOnWithASession) {
  const ProcessSignal joined;
  ChildProcess first([&] {
    const Port port = join_session(path_, {.port = kSmall});
    joined.notify();
    ::pause();
  });
  Events events;
  SessionOptions options{.port = kSmall, .handshake_timeout = kLong};
  options.on_state = events.handler();
  Port port = host_session(path_, options);
  joined.wait();
  crowd_in();  // while the peer lives, and after it
  first.signal(SIGKILL);
  ASSERT_TRUE(events.wait_for(SessionState::waiting_for_peer));
  ChildProcess next([&] {
    Port again = join_session(path_, {.port = kSmall, .timeout = 30s});
    EXPECT_EQ(again.post_message("again"), Status::ok);
    EXPECT_EQ(again.wait_until_consumed(deadline_in(30s)), Status::ok);
  });
  EXPECT_EQ(port.receive_for(30s).text(), "again");
  EXPECT_TRUE(next.wait_for(30s)->ok());
}

// Nobody has joined: what came is no peer.
TEST_F(SilentClients, DontMakeAHostWaitBeyondItsTime) {
  ChildProcess host([&] {
    EXPECT_TRUE(throws(errc::timed_out, "nobody joined", [&] {
      (void)host_session(path_, {.port = kSmall, .timeout = 3s, .handshake_timeout = kLong});
    }));
  });
  crowd_in();
  EXPECT_TRUE(host.wait_for(30s)->ok());
}

TEST_F(SilentClients, AreToldThatTheyGaveWayAndWhoHasSpokenNeverDoes) {
  std::vector<std::string> refused;
  Listener listener =
      listen(path_, {.port = kSmall, .handshake_timeout = 3s, .on_refused = [&](const std::string& why) {
                       refused.push_back(why);
                     }});
  // These take every place that a listener has.
  std::vector<PacketSocket> half_way;
  for (int i = 0; i < 8; ++i) {
    half_way.emplace_back(ipc::connect_until(path_, ::geteuid(), deadline_in(10s)));
    half_way.back().send(ipc::encode_packet(ipc::Hello{}), {}, deadline_in(10s));
  }
  EXPECT_FALSE(listener.accept_for(50ms));
  ChildProcess client([&] {
    Port port = connect(path_, {.port = kSmall, .timeout = 30s});
    EXPECT_EQ(port.post_message("here"), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(deadline_in(30s)), Status::ok);
  });
  EXPECT_FALSE(listener.accept_for(500ms));
  crowd_in();
  std::optional<Port> port = listener.accept_for(30s);
  ASSERT_TRUE(port);
  EXPECT_EQ(port->receive().text(), "here");
  EXPECT_TRUE(client.wait_for(30s)->ok());
  ASSERT_FALSE(refused.empty());
  EXPECT_NE(refused.front().find("said nothing while others waited"), std::string::npos) << refused.front();
}

}  // namespace
}  // namespace sluice::test
