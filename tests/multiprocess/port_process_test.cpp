// What a port promises between two processes: meeting, order, content, closing, leaving nothing behind.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "open_descriptors.hpp"
#include "running_threads.hpp"
#include "session_parts.hpp"
#include "sluice/base/error.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Sends everything back until the other side closes.
void echo(Port& port) {
  for (;;) {
    const Message message = port.receive();
    if (!message) return;
    if (port.post_message(message.bytes()) != Status::ok) return;
  }
}

bool ends_well(ChildProcess& child) {
  const auto status = child.wait_for(20s);
  return status && status->ok();
}

class PortBetweenProcesses : public ::testing::Test {
 protected:
  Watchdog watchdog_{120s, "a test of a port between two processes"};
  TestChannel channel_;
};

TEST_F(PortBetweenProcesses, MeetsWhenTheListenerComesFirst) {
  Listener listener = listen(channel_.path());
  ChildProcess child = connecting_child(channel_, echo);
  Port port = listener.accept();
  EXPECT_EQ(port.peer().pid, child.pid());
  EXPECT_EQ(port.peer().uid, ::geteuid());
  ASSERT_EQ(port.post_message(bytes_of("hello")), Status::ok);
  EXPECT_EQ(text_of(port.receive().bytes()), "hello");
  port.close();
  EXPECT_TRUE(ends_well(child));
}

TEST_F(PortBetweenProcesses, MeetsWhenTheConnectorComesFirst) {
  ChildProcess child = connecting_child(channel_, echo);
  std::this_thread::sleep_for(50ms);  // the child now waits for a listener; right in any case
  Listener listener = listen(channel_.path());
  Port port = listener.accept();
  ASSERT_EQ(port.post_message(bytes_of("hello")), Status::ok);
  EXPECT_EQ(text_of(port.receive().bytes()), "hello");
  port.close();
  EXPECT_TRUE(ends_well(child));
}

TEST_F(PortBetweenProcesses, KeepsOrderAndContentInBothDirectionsAtOnce) {
  constexpr int kMessages = 100'000;
  const PortOptions small{.ring_bytes = 65536};
  Listener listener = listen(channel_.path(), {.port = small});
  ChildProcess child = connecting_child(channel_, echo, small);
  Port port = listener.accept();
  const auto message_number = [](int number) {
    std::mt19937 random(static_cast<unsigned>(number));
    return std::string(random() % (number % 100 == 0 ? 30'000 : 120), static_cast<char>('a' + number % 26)) +
           std::to_string(number);
  };
  std::thread sender([&] {
    for (int i = 0; i < kMessages; ++i) ASSERT_EQ(port.post_message(bytes_of(message_number(i))), Status::ok);
  });
  for (int i = 0; i < kMessages; ++i) {
    const Message message = port.receive();
    ASSERT_EQ(message.status(), Status::ok) << port.failure_text();
    ASSERT_EQ(text_of(message.bytes()), message_number(i));
  }
  sender.join();
  port.close();
  EXPECT_TRUE(ends_well(child));
}

TEST_F(PortBetweenProcesses, DeliversWhatWasPostedBeforeTheListenersSideClosed) {
  Listener listener = listen(channel_.path());
  ChildProcess child = connecting_child(channel_, [](Port& port) {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(text_of(port.receive().bytes()), std::to_string(i));
    EXPECT_EQ(port.receive().status(), Status::closed);
    EXPECT_EQ(port.post_message({}), Status::closed);
  });
  {
    Port port = listener.accept();
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(port.post_message(bytes_of(std::to_string(i))), Status::ok);
  }
  EXPECT_TRUE(ends_well(child));
}

TEST_F(PortBetweenProcesses, DeliversWhatWasPostedBeforeTheConnectorsProcessEnded) {
  Listener listener = listen(channel_.path());
  ChildProcess child = connecting_child(channel_, [](Port& port) {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(port.post_message(bytes_of(std::to_string(i))), Status::ok);
    port.close();
  });
  Port port = listener.accept();
  EXPECT_TRUE(ends_well(child));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(text_of(port.receive().bytes()), std::to_string(i));
  EXPECT_EQ(port.receive().status(), Status::closed);
}

TEST_F(PortBetweenProcesses, TellsAConsumedRingFromAnAbandonedOne) {
  Listener listener = listen(channel_.path());
  ChildProcess child = connecting_child(channel_, [](Port& port) {
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(port.receive());
    port.close();
  });
  Port port = listener.accept();
  for (int i = 0; i < 11; ++i) ASSERT_EQ(port.post_message(bytes_of("x")), Status::ok);
  EXPECT_EQ(port.wait_until_consumed(), Status::closed) << "the eleventh was never read";
  EXPECT_TRUE(ends_well(child));
}

TEST_F(PortBetweenProcesses, ServesSeveralClientsAtOnce) {
  Listener listener = listen(channel_.path());
  std::vector<std::unique_ptr<ChildProcess>> children;
  for (int i = 0; i < 12; ++i) {
    children.push_back(std::make_unique<ChildProcess>([path = channel_.path()] {
      Port port = connect(path, {.port = {.ring_bytes = 4096}});
      echo(port);
    }));
  }
  std::vector<Port> ports;
  for (int i = 0; i < 12; ++i) ports.push_back(listener.accept());
  for (std::size_t i = 0; i < 12; ++i)
    ASSERT_EQ(ports[i].post_message(bytes_of(std::to_string(i))), Status::ok);
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(text_of(ports[i].receive().bytes()), std::to_string(i));
  ports.clear();
  for (auto& child : children) EXPECT_TRUE(ends_well(*child));
}

TEST_F(PortBetweenProcesses, RefusesUseInAForkedChildAndStaysWhole) {
  Listener listener = listen(channel_.path());
  ChildProcess peer = connecting_child(channel_, echo);
  Port port = listener.accept();
  ASSERT_EQ(port.post_message(bytes_of("mine")), Status::ok);
  const pid_t heir = ::fork();
  if (heir == 0) {
    bool refused = port.post_message(bytes_of("stolen")) == Status::forked;
    refused = refused && port.receive().status() == Status::forked && !port.is_open();
    refused = refused && port.wait_until_consumed() == Status::forked;
    port.close();
    { const Port destroyed = std::move(port); }
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(heir, &status, 0), heir);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(text_of(port.receive().bytes()), "mine");
  ASSERT_EQ(port.post_message(bytes_of("still mine")), Status::ok);
  EXPECT_EQ(text_of(port.receive().bytes()), "still mine");
}

TEST_F(PortBetweenProcesses, LeavesNoDescriptorThreadOrFileBehind) {
  const auto descriptors = open_descriptors();
  for (int round = 0; round < 20; ++round) {
    Listener listener = listen(channel_.path());
    ChildProcess child = connecting_child(channel_, echo);
    Port port = listener.accept();
    std::atomic<int> got = 0;
    port.on_message([&](std::span<const std::byte>) { ++got; });
    port.start();
    ASSERT_EQ(port.post_message({}), Status::ok);
    if (round % 2 == 0) {
      child.signal(SIGKILL);
    } else {
      port.close();
    }
    ASSERT_TRUE(child.wait_for(20s));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(threads_become("sluice-watch", 0));
  EXPECT_TRUE(threads_become("sluice-deliver", 0));
  EXPECT_TRUE(std::filesystem::is_empty(channel_.directory()));
}

// What docs/sizing.md says.
TEST_F(PortBetweenProcesses, CostsTheDescriptorsAndThreadsThatAreStated) {
  const auto before = open_descriptors();
  Listener listener = listen(channel_.path());
  EXPECT_EQ(open_descriptors() - before, 3U);
  const ChildProcess first = connecting_child(channel_, echo);
  Port port = listener.accept();
  EXPECT_EQ(open_descriptors() - before, 3U + 4U + 2U) << "the first port of the process";
  const ChildProcess second = connecting_child(channel_, echo);
  const Port next = listener.accept();
  EXPECT_EQ(open_descriptors() - before, 3U + 4U + 2U + 4U);
  EXPECT_TRUE(threads_become("sluice-watch", 1));
  port.start();
  EXPECT_EQ(open_descriptors() - before, 3U + 4U + 2U + 4U);
  EXPECT_TRUE(threads_become("sluice-deliver", 1));
}

TEST_F(PortBetweenProcesses, OfASessionCostsTheDescriptorsAndThreadsThatAreStated) {
  for (const Role role : {Role::host, Role::join}) {
    const auto before = open_descriptors();
    const ChildProcess peer([&] {
      Port port = open_session(other(role), channel_.path(), {});
      echo(port);
    });
    const Port port = open_session(role, channel_.path(), {});
    EXPECT_EQ(open_descriptors() - before, role == Role::host ? 8U : 6U);
    EXPECT_TRUE(threads_become("sluice-session", 1));
    EXPECT_TRUE(threads_become("sluice-watch", 0));
  }
}

TEST_F(PortBetweenProcesses, TakesOverAfterBothWereKilled) {
  ChildProcess listening([&] {
    Listener listener = listen(channel_.path());
    Port port = listener.accept();
    echo(port);
  });
  ChildProcess connecting = connecting_child(channel_, [](Port& port) {
    EXPECT_EQ(port.post_message(bytes_of("x")), Status::ok);
    (void)port.receive();
    ::raise(SIGKILL);
  });
  ASSERT_TRUE(connecting.wait_for(20s));
  listening.signal(SIGKILL);
  ASSERT_TRUE(listening.wait_for(20s));
  Listener listener = listen(channel_.path());
  ChildProcess child = connecting_child(channel_, echo);
  Port port = listener.accept();
  ASSERT_EQ(port.post_message(bytes_of("again")), Status::ok);
  EXPECT_EQ(text_of(port.receive().bytes()), "again");
}

TEST_F(PortBetweenProcesses, SaysWhenNobodyListensInTime) {
  EXPECT_TRUE(
      throws(errc::timed_out, channel_.path(), [&] { (void)connect(channel_.path(), {.timeout = 30ms}); }));
}

TEST_F(PortBetweenProcesses, SaysWhenALiveListenerHasTheName) {
  const Listener listener = listen(channel_.path());
  EXPECT_TRUE(throws(connect_errc::name_taken, channel_.path(), [&] { (void)listen(channel_.path()); }));
}

TEST_F(PortBetweenProcesses, TellsAClosedListenerFromADeadlineThatPassed) {
  Listener listener = listen(channel_.path());
  EXPECT_FALSE(listener.accept_for(10ms));
  std::error_code why;
  (void)listener.accept_for(10ms, why);
  EXPECT_EQ(why, errc::timed_out);
  std::thread closer([&] { listener.close(); });
  EXPECT_TRUE(
      throws(connect_errc::closed, channel_.path() + " was closed", [&] { (void)listener.accept(); }));
  closer.join();
  EXPECT_TRUE(throws(connect_errc::closed, "closed", [&] { (void)listener.accept_for(10ms); }));
  (void)listener.accept(why);
  EXPECT_EQ(why, connect_errc::closed);
  (void)Listener().accept(why);
  EXPECT_EQ(why, connect_errc::closed);
}

}  // namespace
}  // namespace sluice::test
