// Many clients at once, clients in another PID namespace, and what a program that is executed inherits.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <list>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "process_signal.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

const PortOptions kSmall{.ring_bytes = 4096};

ListenOptions small_listener() {
  ListenOptions options;
  options.port = kSmall;
  return options;
}

TEST(Crowd, OfAThousandClientsAtOnceIsServedToTheLast) {
  constexpr int kProcesses = 10;
  constexpr int kClientsEach = 100;
  const Watchdog watchdog(120s, "a thousand clients");
  const TestChannel channel;
  const ProcessSignal start;
  std::list<ChildProcess> processes;
  for (int i = 0; i < kProcesses; ++i) {
    processes.emplace_back([&] {
      start.wait();
      std::vector<std::thread> clients;
      for (int client = 0; client < kClientsEach; ++client) {
        clients.emplace_back([&] {
          try {
            Port port = connect(channel.path(), {.port = kSmall, .timeout = 100s});
            EXPECT_EQ(port.post_message({}), Status::ok);
            EXPECT_EQ(port.wait_until_consumed(deadline_in(60s)), Status::ok);
          } catch (const std::exception& failure) {
            ADD_FAILURE() << failure.what();
          }
        });
      }
      for (std::thread& client : clients) client.join();
    });
  }
  Listener listener = listen(channel.path(), small_listener());
  for (int i = 0; i < kProcesses; ++i) start.notify();
  for (int served = 0; served < kProcesses * kClientsEach; ++served) {
    std::optional<Port> port = listener.accept_for(60s);
    ASSERT_TRUE(port) << "after " << served << " clients";
    ASSERT_TRUE(port->receive_for(60s));
  }
  for (ChildProcess& process : processes) {
    const auto status = process.wait_for(60s);
    EXPECT_TRUE(status && status->ok());
  }
}

/// Runs `body` as the first process of a new PID namespace; whether all went well is the exit code.
template <typename Body>
ChildProcess in_new_pid_namespace(Body body) {
  return ChildProcess([body] {
    if (::unshare(CLONE_NEWPID) != 0) return 2;
    const pid_t first = ::fork();  // no ChildProcess, which expects a parent with a number
    if (first == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      EXPECT_EQ(::getpid(), 1);
      body();
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = -1;
    return first > 0 && ::waitpid(first, &status, 0) == first && status == 0 ? 0 : 1;
  });
}

class PidNamespace : public ::testing::Test {
 protected:
  void SetUp() override {
    ChildProcess probe([] { return ::unshare(CLONE_NEWPID) == 0 ? 0 : 1; });
    const auto status = probe.wait_for(20s);
    if (!status || !status->ok()) GTEST_SKIP() << "needs the right to make a PID namespace";
  }

  Watchdog watchdog_{100s, "a peer in another PID namespace"};
  TestChannel channel_;
};

// The connector is process 1 there. A number of ours says nothing there, and its own says something else
// here.
TEST_F(PidNamespace, HidesNoDeathFromTheListener) {
  Listener listener = listen(channel_.path(), small_listener());
  ChildProcess outer = in_new_pid_namespace([path = channel_.path()] {
    const Port port = connect(path, {.port = kSmall});
    for (;;) ::pause();
  });
  std::optional<Port> accepted = listener.accept_for(20s);
  ASSERT_TRUE(accepted);
  Port& port = *accepted;
  ASSERT_GT(port.peer().pid, 1) << "its number in our namespace";
  EXPECT_EQ(port.receive_for(50ms).status(), Status::timed_out) << "it was declared dead while it lived";
  ASSERT_EQ(::kill(static_cast<pid_t>(port.peer().pid), SIGKILL), 0);
  EXPECT_EQ(port.receive_for(20s).status(), Status::peer_died);
}

TEST_F(PidNamespace, HidesNoDeathFromTheConnectorInside) {
  ChildProcess outside = listening_child(
      channel_,
      [](Port& port) {
        EXPECT_TRUE(port.receive());
        ::raise(SIGKILL);
      },
      kSmall);
  ChildProcess inside = in_new_pid_namespace([path = channel_.path()] {
    Port port = connect(path, {.port = kSmall});
    EXPECT_EQ(port.peer().pid, 0) << "it has no number there";
    ASSERT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.receive_for(20s).status(), Status::peer_died);
  });
  const auto status = inside.wait_for(60s);
  EXPECT_TRUE(status && status->ok());
}

TEST(WithoutProc, TwoProcessesMeetAllTheSame) {
  const auto hide_proc = [] {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("none", "/proc", "tmpfs", 0, nullptr) == 0;
  };
  ChildProcess probe([&] { return hide_proc() ? 0 : 1; });
  if (!probe.wait_for(20s)->ok()) GTEST_SKIP() << "needs the right to make a mount namespace";
  const Watchdog watchdog(60s, "two processes without /proc");
  const TestChannel channel;
  ChildProcess client([&] {
    EXPECT_TRUE(hide_proc());
    Port port = connect(channel.path(), {.port = kSmall});
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.receive_for(20s).status(), Status::peer_died);
  });
  ChildProcess listener([&] {
    EXPECT_TRUE(hide_proc());
    Port port = listen(channel.path(), small_listener()).accept();
    EXPECT_TRUE(port.receive());
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(client.wait_for(30s)->ok());
}

std::set<int> open_descriptor_numbers() {
  std::set<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    numbers.insert(std::stoi(entry.path().filename()));
  std::erase_if(numbers, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });  // the directory's own
  return numbers;
}

TEST(Exec, InheritsNoDescriptorOfListenersAndPorts) {
  const Watchdog watchdog(60s, "descriptors after exec");
  const std::set<int> before = open_descriptor_numbers();
  const TestChannel channel;
  Listener listener = listen(channel.path(), small_listener());
  std::thread client([&] {
    Port port = connect(channel.path(), {.port = kSmall});
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_FALSE(port.receive());  // open until the other end has looked
  });
  Port port = listener.accept();
  ASSERT_TRUE(port.receive());
  int looked_at = 0;
  for (const int fd : open_descriptor_numbers()) {
    if (before.contains(fd)) continue;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0)
        << std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
    ++looked_at;
  }
  EXPECT_GE(looked_at, 13) << "listener 3, ports 2 x 4, watcher 2";
  port.close();
  client.join();
}

}  // namespace
}  // namespace sluice::test
