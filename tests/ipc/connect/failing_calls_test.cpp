// Every system call of set-up fails once, with every errno that it may have: the call is retried, or a clean
// error comes out, and nothing is left behind.
#include "failing_calls.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "child_process.hpp"
#include "open_descriptors.hpp"
#include "running_threads.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

const PortOptions kSmall{.ring_bytes = 4096};

/// The message has the reason of the code at its end, and in front of it what it is about.
void expect_explained(const error& failure) {
  const std::string what = failure.what();
  const std::string reason = ": " + failure.code().message();
  ASSERT_TRUE(failure.code()) << what;
  ASSERT_GT(what.size(), reason.size()) << what;
  EXPECT_EQ(what.substr(what.size() - reason.size()), reason);
}

/// Two threads meet, exchange a message and part. Whatever fails must come out as sluice::error, or as a port
/// that ends.
void meet_and_part(const std::string& path) {
  ListenOptions listening{.port = kSmall, .handshake_timeout = 300ms};
  Listener listener = listen(path, listening);
  std::thread other([&] {
    try {
      Port port = connect(path, {.port = kSmall, .timeout = 300ms});
      if (port.post_message({}) == Status::ok) (void)port.wait_until_consumed(deadline_in(1s));
    } catch (const error& failure) {
      expect_explained(failure);
    }
    listener.close();
  });
  try {
    while (std::optional<Port> port = listener.accept_for(3s)) {
      port->start();
      (void)port->post_message({});
      port->close();
    }
  } catch (const error&) {
    listener.close();
  }
  other.join();
}

class FailingCalls : public ::testing::TestWithParam<std::string> {
 protected:
  /// Lets each of the calls of this name fail in turn.
  void fail_each(int code) {
    constexpr int kMostCalls = 64;
    for (int nth = 0; nth < kMostCalls; ++nth) {
      SCOPED_TRACE(GetParam() + ", call " + std::to_string(nth) + ", " + std::strerror(code));
      bool happened = false;
      {
        const FailingCall failing(GetParam(), nth, code);
        try {
          meet_and_part(path_);
        } catch (const error& failure) {
          expect_explained(failure);
        } catch (const std::system_error& failure) {
          EXPECT_EQ(GetParam(), "pthread_create") << failure.what();  // a thread of the test's own
        }
        happened = failing.happened();
      }
      // If the listener couldn't look after its file it stays, as after a crash, and the next one takes it
      // over.
      if (std::filesystem::exists(path_)) (void)listen(path_);
      EXPECT_FALSE(std::filesystem::exists(path_)) << "the socket file is left";
      EXPECT_TRUE(threads_become("sluice-watch", 0));
      EXPECT_TRUE(open_descriptors_become(descriptors_));
      if (!happened) return;
    }
  }

  Watchdog watchdog_{100s, "a failing " + GetParam()};
  TempDirectory directory_;
  std::string path_ = directory_.file("channel").string();
  std::size_t descriptors_ = 0;
};

TEST_P(FailingCalls, AreRetriedOrReportedAndLeaveNothingBehind) {
  meet_and_part(path_);  // what is made once in a process is made now
  descriptors_ = open_descriptors();
  for (const int code : {ENOMEM, EINTR, EMFILE, ENOSPC}) fail_each(code);
}

// The handshake is done when it fails: to the host that is the death of a joiner, not its farewell.
TEST(SessionsThread, ThatCantBeStartedLeavesTheSessionToTheNextProcess) {
  const Watchdog watchdog(60s, "a session's thread");
  const TempDirectory directory;
  const std::string path = directory.file("channel").string();
  ChildProcess host([&] {
    Port port = host_session(path);
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(deadline_in(30s)), Status::ok);
  });
  {
    const FailingCall failing("pthread_create", 0, EAGAIN);
    EXPECT_TRUE(throws(std::errc::resource_unavailable_try_again, "starting a session's thread",
                       [&] { (void)join_session(path); }));
  }
  Port port = join_session(path);
  EXPECT_EQ(port.session()->epoch, 2U);
  EXPECT_TRUE(port.receive());
  EXPECT_TRUE(host.wait_for(30s)->ok());
}

TEST(DeliveryThread, ThatCantBeStartedLeavesMessagesToBeReceivedByCalls) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message("still here"), Status::ok);
  {
    const FailingCall failing("pthread_create", 0, EAGAIN);
    EXPECT_TRUE(throws(std::errc::resource_unavailable_try_again, "starting a port's delivery thread",
                       [&b = b] { b.start(); }));
  }
  EXPECT_TRUE(b.can_receive());
  EXPECT_EQ(b.try_receive().text(), "still here");
  b.start();
}

INSTANTIATE_TEST_SUITE_P(Each, FailingCalls, ::testing::ValuesIn(failing_call_names()),
                         [](const auto& call) { return call.param; });

}  // namespace
}  // namespace sluice::test
