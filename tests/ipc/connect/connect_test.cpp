// connect_until: both start orders, refusals, and another user.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "child_process.hpp"
#include "listening_socket.hpp"
#include "open_descriptors.hpp"
#include "packet_pair.hpp"
#include "process_signal.hpp"
#include "seqpacket.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ipc::AcceptOutcome;
using ipc::connect_until;
using ipc::ListeningSocket;

constexpr uid_t kNobody = 65534;

class Connecting : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(open_descriptors(), before_) << "descriptors leaked"; }

  PacketSocket connect(Deadline deadline) const { return connect_until(path_, ::geteuid(), deadline); }

  // A bound socket on which nobody listens.
  void leave_stale_socket(int type = SOCK_SEQPACKET) const {
    const Descriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    const ipc::SocketAddress address(path_);
    ASSERT_EQ(::bind(socket.get(), address.get(), address.size_bytes()), 0);
  }

  Watchdog watchdog_{60s, "Connecting"};
  std::size_t before_ = open_descriptors();
  TempDirectory home_;
  fs::path path_ = home_.file("channel");
};

TEST_F(Connecting, GivesUpAtItsDeadlineWithThePathAndTheReason) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(throws(errc::timed_out, path_.native() + "\": no socket is there", [&] { connect(in(40ms)); }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 40ms);
  leave_stale_socket();
  EXPECT_TRUE(throws(errc::timed_out, "nobody listens", [&] { connect(in(40ms)); }));
  EXPECT_TRUE(throws(errc::timed_out, "waited 0 ms", [&] { connect(in(-1h)); }));
}

TEST_F(Connecting, TriesOnceEvenWhenItsDeadlineHasPassed) {
  const ListeningSocket listener(path_);
  EXPECT_NO_THROW(connect(in(-1h)));
}

TEST_F(Connecting, WaitsForAListenerThatComesLater) {
  for (const bool stale : {false, true}) {
    if (stale) leave_stale_socket();
    const ProcessSignal trying;
    ChildProcess child([&] {
      trying.notify();
      connect(soon());
    });
    trying.wait();
    EXPECT_FALSE(child.ended_within(30ms)) << "it connected to nothing";
    ListeningSocket listener(path_);
    const auto status = child.wait_for(10s);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->ok()) << to_string(*status);
    EXPECT_EQ(listener.accept().outcome, AcceptOutcome::accepted);
  }
}

TEST_F(Connecting, WaitsForRoomInTheListenersQueue) {
  ListeningSocket listener(path_);
  std::vector<PacketSocket> clients;
  EXPECT_TRUE(throws(errc::timed_out, "queue is full", [&] {
    while (clients.size() < 1000) clients.push_back(connect(in(20ms)));
  }));
  ChildProcess child([&] { connect(soon()); });
  EXPECT_FALSE(child.ended_within(30ms));
  EXPECT_EQ(listener.accept().outcome, AcceptOutcome::accepted);
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

TEST_F(Connecting, RefusesWhatIsNoSocketOfOursAtOnce) {
  std::ofstream(path_) << "text";
  EXPECT_TRUE(throws(errc::bad_name, "is no socket", [&] { connect(soon()); }));
  fs::remove(path_);
  const ListeningSocket real(home_.file("real"));
  fs::create_symlink(real.path(), path_);
  EXPECT_TRUE(throws(errc::bad_name, "is no socket", [&] { connect(soon()); })) << "a link was followed";
  fs::remove(path_);

  const Descriptor stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const ipc::SocketAddress address(path_);
  ASSERT_EQ(::bind(stream.get(), address.get(), address.size_bytes()), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  EXPECT_TRUE(throws(errc::bad_name, "another type", [&] { connect(soon()); }));
}

TEST_F(Connecting, RefusesASocketOfAnotherOwner) {
  const ListeningSocket listener(path_);
  EXPECT_TRUE(
      throws(connect_errc::refused, "expected user 12345", [&] { connect_until(path_, 12345, soon()); }));
}

// A listener of another user behind a socket file that looks like ours.
TEST_F(Connecting, RefusesAListenerOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(home_.path().c_str(), 01777), 0);
  const ProcessSignal listening;
  ChildProcess impostor([&] {
    ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
    const ListeningSocket listener(path_);
    listening.notify();
    ::pause();
  });
  listening.wait();
  EXPECT_TRUE(throws(connect_errc::refused, "socket at", [&] { connect(soon()); }));
  ASSERT_EQ(::lchown(path_.c_str(), 0, 0), 0);
  EXPECT_TRUE(throws(connect_errc::refused, "listener at", [&] { connect(soon()); }));
}

TEST_F(Connecting, IsPossibleForAUserWhomTheListenerAllows) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  const mode_t umask_before = ::umask(077);
  ListenOptions options;
  options.allowed_users = {::geteuid(), kNobody};
  Listener listener = listen(path_.native(), options);
  ::umask(umask_before);
  const uid_t owner = ::geteuid();
  ChildProcess child([&] {
    ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
    ConnectOptions connecting;
    connecting.listener_user = owner;
    Port port = sluice::connect(path_.native(), connecting);
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(soon()), Status::ok);
  });
  {
    std::optional<Port> port = listener.accept_for(10s);
    ASSERT_TRUE(port);
    EXPECT_EQ(port->peer().uid, kNobody);
    EXPECT_TRUE(port->receive());
  }
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

TEST_F(Connecting, IsRefusedByTheFileModeForAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  ListeningSocket listener(path_);
  const uid_t owner = ::geteuid();
  ChildProcess child([&] {
    ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
    EXPECT_TRUE(throws(connect_errc::refused, "no permission to connect",
                       [&] { connect_until(path_, owner, soon()); }));
  });
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  EXPECT_EQ(listener.accept().outcome, AcceptOutcome::nobody_waits);
}

TEST_F(Connecting, ShowsTheListenerThatItIsAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  ListeningSocket listener(path_);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);  // as if somebody had opened it to all
  const uid_t owner = ::geteuid();
  ChildProcess child([&] {
    ASSERT_EQ(::setresgid(kNobody, kNobody, kNobody), 0);
    ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
    PacketSocket connection = connect_until(path_, owner, soon());
    EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { connection.receive(soon()); }));
  });
  ASSERT_TRUE(base::wait_for_events(listener.fd(), POLLIN, soon()));
  {
    const auto accepted = listener.accept();
    ASSERT_TRUE(accepted.connection);
    EXPECT_EQ(ipc::peer_identity(accepted.connection.get()).uid, kNobody);
    EXPECT_EQ(ipc::peer_identity(accepted.connection.get()).gid, kNobody);
  }
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

}  // namespace
}  // namespace sluice::test
