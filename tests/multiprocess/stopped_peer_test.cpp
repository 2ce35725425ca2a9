// A peer that stands still (SIGSTOP) is alive: nothing but a deadline of the caller's says otherwise.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "session_parts.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

#ifdef SLUICE_SOAK
constexpr auto kStandsStill = 30s;
#else
constexpr auto kStandsStill = 500ms;
#endif

void echo(Port& port) {
  while (const Message message = port.receive()) {
    if (port.post_message(message.bytes()) != Status::ok) return;
  }
}

/// Posts to a peer that stands still, waits, and gets the answer once it goes on.
void expect_patience(Port& port, const ChildProcess& peer, std::string_view text) {
  EXPECT_EQ(port.post_message(text), Status::ok);
  EXPECT_EQ(port.receive_for(kStandsStill).status(), Status::timed_out);
  EXPECT_TRUE(port.is_open());
  peer.signal(SIGCONT);
  EXPECT_EQ(port.receive().text(), text);
}

TEST(StoppedPeer, OfAPlainPortIsNotDeclaredDead) {
  const Watchdog watchdog{120s, "a port whose peer stands still"};
  const TestChannel channel;
  Listener listener = listen(channel.path());
  const ChildProcess peer = connecting_child(channel, echo);
  Port port = listener.accept();
  peer.signal(SIGSTOP);
  expect_patience(port, peer, "later");
}

class StoppedPeerOfASession : public ::testing::TestWithParam<Role> {};

TEST_P(StoppedPeerOfASession, IsNotDeclaredDeadAndNobodyGetsItsPlace) {
  const Watchdog watchdog{120s, "a session whose peer stands still"};
  const TestChannel channel;
  const Role survivor = GetParam();
  Events events;
  const ChildProcess peer([&] {
    Port port = open_session(other(survivor), channel.path(), {});
    echo(port);
  });
  Port port = open_session(survivor, channel.path(), {.on_state = events.handler(), .resume_window = 100ms});
  EXPECT_EQ(port.post_message("first"), Status::ok);
  ASSERT_EQ(port.receive().text(), "first");
  peer.signal(SIGSTOP);
  if (survivor == Role::host) {
    EXPECT_TRUE(throws(connect_errc::refused, "still runs", [&] { (void)join_session(channel.path()); }));
  } else {
    EXPECT_TRUE(throws(connect_errc::name_taken, "", [&] { (void)host_session(channel.path()); }));
  }
  expect_patience(port, peer, "second");
  EXPECT_EQ(events.states(), std::vector{SessionState::connected});
}

INSTANTIATE_TEST_SUITE_P(Survivor, StoppedPeerOfASession, ::testing::Values(Role::host, Role::join),
                         [](const auto& tested) {
                           return std::string(tested.param == Role::host ? "Host" : "Joiner");
                         });

}  // namespace
}  // namespace sluice::test
