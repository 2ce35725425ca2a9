// Each end of a session belongs to one process as long as that lives, stopped or not, host or no host.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>
#include <thread>

#include "process_signal.hpp"
#include "session_parts.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

enum class Kept { in_memory, in_files };

class OneOwner : public ::testing::TestWithParam<Kept> {
 protected:
  SessionOptions options() const {
    SessionOptions options{.port = {.ring_bytes = 8192}};
    if (GetParam() == Kept::in_files) options.directory = channel_.directory();
    return options;
  }
  /// Posts one message, stands still until it is woken, and then says how the session goes on.
  ChildProcess stopped_joiner(Status expected) const {
    return ChildProcess([this, expected] {
      Port port = join_session(channel_.path(), options());
      ASSERT_EQ(port.post_message("from the first joiner"), Status::ok);
      ::raise(SIGSTOP);
      EXPECT_EQ(port.receive().status(), expected);
    });
  }
  /// A host that was there when the joiner stopped, and has been killed.
  void lose_first_host(const ChildProcess& joiner) const {
    ChildProcess host([this] {
      Port port = host_session(channel_.path(), options());
      const Message message = port.receive();  // never released
      ::kill(::getpid(), SIGKILL);
    });
    ASSERT_TRUE(host.wait_for(20s));
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(joiner.pid()), &info, WSTOPPED | WNOWAIT), 0);
  }

  const Watchdog watchdog_{60s, "the ends of a session"};
  TestChannel channel_;
};

TEST_P(OneOwner, NobodyGetsTheEndOfAStoppedJoinerWhoseHostIsGone) {
  ChildProcess first = stopped_joiner(Status::ok);
  lose_first_host(first);
  ChildProcess host([&] {
    Port port = host_session(channel_.path(), options());
    EXPECT_EQ(port.receive().text(), "from the first joiner");
    EXPECT_EQ(port.post_message("to the first joiner"), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(deadline_in(20s)), Status::ok);
  });
  EXPECT_TRUE(
      throws(connect_errc::refused, "still runs", [&] { (void)join_session(channel_.path(), options()); }));
  first.signal(SIGCONT);
  EXPECT_TRUE(host.wait_for(20s)->ok());
  EXPECT_TRUE(first.wait_for(20s)->ok());
}

TEST_P(OneOwner, AHostThatMayReplaceItsPeerGivesTheEndAway) {
  ChildProcess first = stopped_joiner(Status::superseded);
  lose_first_host(first);
  const ProcessSignal seen;
  ChildProcess host([&] {
    SessionOptions replacing = options();
    replacing.replace_living_peer = true;
    Port port = host_session(channel_.path(), replacing);
    const bool kept = GetParam() == Kept::in_files;
    EXPECT_EQ(port.receive().text(), kept ? "from the first joiner" : "from the second joiner");
    seen.wait();
  });
  Port second = join_session(channel_.path(), options());
  EXPECT_EQ(second.post_message("from the second joiner"), Status::ok);
  first.signal(SIGCONT);
  EXPECT_TRUE(first.wait_for(20s)->ok());
  EXPECT_TRUE(second.is_open());
  seen.notify();
  EXPECT_TRUE(host.wait_for(20s)->ok());
}

TEST_P(OneOwner, OfFilesIsTheSameByEveryNameThatLeadsToThem) {
  if (GetParam() == Kept::in_memory) GTEST_SKIP() << "has no files";
  const TestChannel other;
  ChildProcess host([&] { (void)host_session(channel_.path(), options()).receive(); });
  Port port = join_session(channel_.path(), options());
  EXPECT_TRUE(
      throws(connect_errc::name_taken, "already", [&] { (void)host_session(other.path(), options()); }));
  ChildProcess stranger([&] {
    SessionOptions elsewhere = options();
    elsewhere.directory = other.directory();
    elsewhere.timeout = 2s;
    EXPECT_TRUE(throws(errc::timed_out, "still runs", [&] { (void)host_session(other.path(), elsewhere); }));
  });
  EXPECT_TRUE(
      throws(connect_errc::refused, "still runs", [&] { (void)join_session(other.path(), options()); }));
  EXPECT_TRUE(stranger.wait_for(20s)->ok());
  EXPECT_EQ(port.post_message({}), Status::ok);
  EXPECT_TRUE(host.wait_for(20s)->ok());
}

TEST_P(OneOwner, GoesOnPastARefusalAndAForeignSocket) {
  std::optional<ChildProcess> host(std::in_place, [&] {
    Port port = host_session(channel_.path(), options());
    ::pause();
  });
  Events events;
  SessionOptions joining = options();
  joining.on_state = events.handler();
  Port port = join_session(channel_.path(), joining);
  host.reset();
  ASSERT_TRUE(events.wait_for(SessionState::waiting_for_peer));
  {
    std::string refusal;
    Listener listener =
        listen(channel_.path(), {.on_refused = [&](const std::string& reason) { refusal = reason; }});
    while (refusal.empty()) EXPECT_FALSE(listener.accept_for(50ms));
    if (::geteuid() == 0) {
      ASSERT_EQ(::lchown(channel_.path().c_str(), 65534, 65534), 0);
      EXPECT_FALSE(listener.accept_for(100ms));
      ASSERT_EQ(::lchown(channel_.path().c_str(), 0, 0), 0);
    }
  }
  EXPECT_TRUE(port.is_open());
  host.emplace([&] {
    Port next = host_session(channel_.path(), options());
    EXPECT_TRUE(next.receive());
  });
  EXPECT_TRUE(events.wait_for(SessionState::resumed));
  EXPECT_EQ(port.post_message({}), Status::ok);
  EXPECT_TRUE(host->wait_for(20s)->ok());
}

INSTANTIATE_TEST_SUITE_P(Session, OneOwner, ::testing::Values(Kept::in_memory, Kept::in_files),
                         [](const auto& tested) {
                           return std::string(tested.param == Kept::in_memory ? "InMemory" : "InFiles");
                         });

}  // namespace
}  // namespace sluice::test
