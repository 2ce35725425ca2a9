#include "listening_socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "child_process.hpp"
#include "full_descriptor_table.hpp"
#include "open_descriptors.hpp"
#include "packet_pair.hpp"
#include "process_signal.hpp"
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

class Listening : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(open_descriptors(), before_) << "descriptors leaked"; }

  PacketSocket connect() const { return connect_until(path_, ::geteuid(), soon()); }

  // Leaves a socket file that nobody listens on, as a killed process does.
  void leave_stale_socket() const {
    const ProcessSignal listening;
    ChildProcess child([&] {
      const ListeningSocket listener(path_);
      listening.notify();
      ::pause();
    });
    listening.wait();
    child.signal(SIGKILL);
    ASSERT_TRUE(child.wait_for(10s));
    ASSERT_TRUE(fs::is_socket(path_));
  }

  Watchdog watchdog_{60s, "Listening"};
  std::size_t before_ = open_descriptors();
  TempDirectory home_;
  fs::path path_ = home_.file("channel");
};

TEST_F(Listening, AcceptsConnectionsAndRemovesItsFile) {
  {
    ListeningSocket listener(path_);
    EXPECT_EQ(listener.accept().outcome, AcceptOutcome::nobody_waits);
    PacketSocket client = connect();
    ASSERT_TRUE(base::wait_for_events(listener.fd(), POLLIN, soon()));
    auto accepted = listener.accept();
    ASSERT_EQ(accepted.outcome, AcceptOutcome::accepted);
    client.send(bytes_of("hello"), {}, soon());
    PacketSocket connection = std::move(accepted.connection);
    EXPECT_EQ(text_of(connection.receive(soon())), "hello");
    EXPECT_EQ(::fcntl(connection.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_EQ(::fcntl(connection.fd(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EXPECT_EQ(listener.accept().outcome, AcceptOutcome::nobody_waits);
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Listening, MakesItsFileForThoseWhoMayConnectWhateverTheUmask) {
  for (const mode_t mask : {0U, 022U, 077U, 0777U}) {
    for (const auto access : {ipc::SocketAccess::owner, ipc::SocketAccess::everybody}) {
      const auto old_mask = ::umask(mask);
      const ListeningSocket listener(path_, access);
      ::umask(old_mask);
      struct stat info {};
      ASSERT_EQ(::lstat(path_.c_str(), &info), 0);
      EXPECT_EQ(info.st_mode, S_IFSOCK | (access == ipc::SocketAccess::owner ? 0600U : 0666U));
    }
  }
}

TEST_F(Listening, KnowsWhoConnected) {
  ListeningSocket listener(path_);
  ChildProcess child([&] {
    PacketSocket client = connect();
    EXPECT_EQ(client.peer_identity().pid, ::getppid());
    EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { client.receive(soon()); }));
  });
  ASSERT_TRUE(base::wait_for_events(listener.fd(), POLLIN, soon()));
  {
    const auto accepted = listener.accept();
    ASSERT_TRUE(accepted.connection);
    const auto credentials = ipc::peer_identity(accepted.connection.get());
    EXPECT_EQ(credentials.pid, child.pid());
    EXPECT_EQ(credentials.uid, ::geteuid());
    EXPECT_EQ(credentials.gid, ::getegid());
  }
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

TEST_F(Listening, RefusesANameThatALiveProcessHas) {
  const ProcessSignal listening;
  ChildProcess child([&] {
    const ListeningSocket listener(path_);
    listening.notify();
    ::pause();
  });
  listening.wait();
  EXPECT_TRUE(throws(connect_errc::name_taken, path_.native(), [&] { const ListeningSocket second(path_); }));
  EXPECT_TRUE(fs::is_socket(path_)) << "the live listener's file was touched";
  EXPECT_NO_THROW(connect());
}

TEST_F(Listening, RefusesANameWhoseLiveListenerHasAFullQueue) {
  const ListeningSocket listener(path_);
  const ipc::SocketAddress address(path_);
  std::vector<Descriptor> clients;
  int code = 0;
  while (code == 0 && clients.size() < 1000) {
    clients.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(clients.back().get(), address.get(), address.size_bytes()) != 0) code = errno;
  }
  EXPECT_EQ(code, EAGAIN) << "the queue isn't bounded: " << clients.size() << " connections";
  EXPECT_LE(clients.size(), 130U);
  EXPECT_TRUE(throws(connect_errc::name_taken, "listens", [&] { const ListeningSocket second(path_); }));
}

TEST_F(Listening, RefusesANameThatAnotherKindOfSocketHas) {
  const Descriptor stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const ipc::SocketAddress address(path_);
  ASSERT_EQ(::bind(stream.get(), address.get(), address.size_bytes()), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  EXPECT_TRUE(throws(connect_errc::name_taken, "listens", [&] { const ListeningSocket second(path_); }));
  EXPECT_TRUE(fs::is_socket(path_));
}

TEST_F(Listening, TakesOverTheSocketOfAKilledProcess) {
  leave_stale_socket();
  ListeningSocket listener(path_);
  const PacketSocket client = connect();
  EXPECT_EQ(listener.accept().outcome, AcceptOutcome::accepted);
}

TEST_F(Listening, LetsOneOfManyWinAStaleSocket) {
  constexpr int kRounds = 10;
  constexpr int kListeners = 6;
  constexpr int kWon = 10;
  constexpr int kTaken = 20;
  for (int round = 0; round < kRounds; ++round) {
    leave_stale_socket();
    const ProcessSignal start;
    const ProcessSignal tried;
    const ProcessSignal finish;
    std::vector<std::unique_ptr<ChildProcess>> children;
    children.reserve(kListeners);
    for (int i = 0; i < kListeners; ++i) {
      children.push_back(std::make_unique<ChildProcess>([&] {
        start.wait();
        std::optional<ListeningSocket> listener;
        int result = kTaken;
        try {
          listener.emplace(path_);
          result = kWon;
        } catch (const error& failure) {
          if (failure.code() != connect_errc::name_taken) throw;
        }
        tried.notify();
        finish.wait();
        return result;
      }));
    }
    for (int i = 0; i < kListeners; ++i) start.notify();
    for (int i = 0; i < kListeners; ++i) tried.wait();
    EXPECT_NO_THROW(connect()) << "the winner's file is gone";
    for (int i = 0; i < kListeners; ++i) finish.notify();
    int winners = 0;
    for (const auto& child : children) {
      const auto status = child->wait_for(10s);
      ASSERT_TRUE(status);
      EXPECT_TRUE(status->code == kWon || status->code == kTaken) << to_string(*status);
      winners += status->code == kWon ? 1 : 0;
    }
    EXPECT_EQ(winners, 1);
    EXPECT_FALSE(fs::exists(path_)) << "the winner left its file";
  }
}

TEST_F(Listening, RefusesWhatIsNoSocketAndLeavesItThere) {
  std::ofstream(path_) << "precious";
  EXPECT_TRUE(throws(errc::bad_name, "is a regular file", [&] { const ListeningSocket listener(path_); }));
  EXPECT_EQ(fs::file_size(path_), 8U);
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_TRUE(throws(errc::bad_name, "is a directory", [&] { const ListeningSocket listener(path_); }));
  fs::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_TRUE(throws(errc::bad_name, "is a FIFO", [&] { const ListeningSocket listener(path_); }));
}

TEST_F(Listening, RefusesASymbolicLinkAtItsName) {
  const fs::path target = home_.file("target");
  for (const bool dangling : {true, false}) {
    std::optional<ListeningSocket> other;
    if (!dangling) other.emplace(target);
    fs::create_symlink(target, path_);
    EXPECT_TRUE(
        throws(errc::unsafe_place, "is a symbolic link", [&] { const ListeningSocket listener(path_); }));
    EXPECT_EQ(fs::exists(target), !dangling);
    fs::remove(path_);
  }
}

TEST_F(Listening, RefusesASocketOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a socket of another user";
  leave_stale_socket();
  ASSERT_EQ(::lchown(path_.c_str(), 65534, 65534), 0);
  EXPECT_TRUE(
      throws(errc::unsafe_place, "belongs to user 65534", [&] { const ListeningSocket listener(path_); }));
  EXPECT_TRUE(fs::is_socket(path_));
}

TEST_F(Listening, ReportsADirectoryThatIsMissing) {
  EXPECT_TRUE(throws(std::errc::no_such_file_or_directory, "missing",
                     [&] { const ListeningSocket listener(home_.file("missing") / "channel"); }));
}

// Whoever can read a directory can lock it; the lock beside the socket is its user's alone.
TEST_F(Listening, IsStoppedByALockOfItsOwnUserOnly) {
  const Descriptor directory(::open(home_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(directory.get(), LOCK_EX), 0);
  EXPECT_NO_THROW({ const ListeningSocket listener(path_); });
  const fs::path lock = home_.file(".channel.lock");
  EXPECT_FALSE(fs::exists(lock));
  {
    const Descriptor ours(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(ours.get(), LOCK_EX), 0);
    EXPECT_TRUE(throws(errc::timed_out, "locked for 2 s", [&] { const ListeningSocket listener(path_); }));
    EXPECT_FALSE(fs::exists(path_));
  }
  EXPECT_NO_THROW({ const ListeningSocket listener(path_); }) << "a file that nobody locks";
  EXPECT_FALSE(fs::exists(lock));
}

TEST_F(Listening, RefusesWhatIsNoLockOfItsUsers) {
  const fs::path lock = home_.file(".channel.lock");
  ASSERT_EQ(::mkfifo(lock.c_str(), 0600), 0);
  EXPECT_TRUE(throws(errc::unsafe_place, "none of this user's files",
                     [&] { const ListeningSocket listener(path_); }));
  fs::remove(lock);
  fs::create_symlink(home_.file("target"), lock);
  EXPECT_TRUE(throws(errc::unsafe_place, "none of this user's files",
                     [&] { const ListeningSocket listener(path_); }));
  EXPECT_FALSE(fs::exists(home_.file("target")));
  fs::remove(lock);
  const fs::path another = home_.file("another");
  std::ofstream(another) << "";
  ASSERT_EQ(::chmod(another.c_str(), 0644), 0);
  fs::create_hard_link(another, lock);
  EXPECT_TRUE(throws(errc::unsafe_place, "none of this user's files",
                     [&] { const ListeningSocket listener(path_); }));
  EXPECT_EQ(fs::status(another).permissions(), fs::perms{0644}) << "the mode of a file with another name";
  fs::remove(lock);
  if (::geteuid() != 0) return;  // no right to make a file of another user
  std::ofstream(lock) << "";
  ASSERT_EQ(::lchown(lock.c_str(), 65534, 65534), 0);
  EXPECT_TRUE(throws(errc::unsafe_place, "none of this user's files",
                     [&] { const ListeningSocket listener(path_); }));
}

// Waiting wouldn't help: nobody is going to let go of what this user can't open.
TEST_F(Listening, SaysAtOnceThatThePlaceIsNotForThisUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const fs::path lock = home_.file(".channel.lock");
  const auto expect_error = [&](auto code, const std::string& words) {
    ChildProcess nobody([&] {
      EXPECT_EQ(::setresuid(65534, 65534, 65534), 0);
      EXPECT_TRUE(throws(code, words, [&] { const ListeningSocket listener(path_); }));
    });
    EXPECT_TRUE(nobody.wait_for(10s)->ok());
  };
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  expect_error(std::errc::permission_denied, ".channel.lock");
  ASSERT_EQ(::chmod(home_.path().c_str(), 01777), 0);
  std::ofstream(lock) << "";
  ASSERT_EQ(::chmod(lock.c_str(), 0600), 0);
  expect_error(errc::unsafe_place, "none of this user's files");
  fs::remove(lock);
  ASSERT_EQ(::mkfifo(lock.c_str(), 0600), 0);
  expect_error(errc::unsafe_place, "none of this user's files");
}

// Its owner could put a link in place of the socket, and have another file's mode changed.
TEST_F(Listening, RefusesADirectoryInWhichAnotherUserCanReplaceFiles) {
  const auto listen = [&] { const ListeningSocket listener(path_, ipc::SocketAccess::everybody); };
  ASSERT_EQ(::chmod(home_.path().c_str(), 0777), 0);
  EXPECT_TRUE(throws(errc::unsafe_place, "can be written by others", listen));
  ASSERT_EQ(::chmod(home_.path().c_str(), 01777), 0);
  EXPECT_NO_THROW(listen());
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for a directory of another user";
  ASSERT_EQ(::chown(home_.path().c_str(), 65534, 65534), 0);
  for (const mode_t mode : {0755U, 01777U}) {
    ASSERT_EQ(::chmod(home_.path().c_str(), mode), 0);
    EXPECT_TRUE(throws(errc::unsafe_place, "belongs to user 65534", listen));
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Listening, NeverRemovesAnotherListenersFile) {
  std::optional<ListeningSocket> first(path_);
  fs::remove(path_);
  const ListeningSocket second(path_);
  first.reset();
  EXPECT_TRUE(fs::is_socket(path_));
  EXPECT_NO_THROW(connect());
}

TEST_F(Listening, RemovesItsFileAlsoAfterAChangeOfDirectory) {
  const fs::path here = fs::current_path();
  fs::current_path(home_.path());
  {
    const ListeningSocket listener("./channel");
    fs::current_path("/");
  }
  fs::current_path(here);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Listening, KeepsItsFileWhenAForkedChildLetsGo) {
  std::optional<ListeningSocket> listener(path_);
  ChildProcess child([&] { listener.reset(); });
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status && status->ok());
  EXPECT_TRUE(fs::is_socket(path_));
  EXPECT_NO_THROW(connect());
}

TEST_F(Listening, SaysWhenItIsOutOfDescriptorsAndServesLater) {
  ListeningSocket listener(path_);
  const PacketSocket client = connect();
  {
    const FullDescriptorTable full;
    EXPECT_EQ(listener.accept().outcome, AcceptOutcome::out_of_resources);
    EXPECT_EQ(listener.accept().outcome, AcceptOutcome::out_of_resources);
  }
  EXPECT_EQ(listener.accept().outcome, AcceptOutcome::accepted);
}

TEST_F(Listening, SurvivesClientsThatLeaveBeforeTheyAreAccepted) {
  ListeningSocket listener(path_);
  for (int i = 0; i < 10; ++i) connect();
  for (int i = 0; i < 10; ++i) {
    auto accepted = listener.accept();
    ASSERT_EQ(accepted.outcome, AcceptOutcome::accepted);
    PacketSocket connection = std::move(accepted.connection);
    EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { connection.receive(soon()); }));
  }
  EXPECT_EQ(listener.accept().outcome, AcceptOutcome::nobody_waits);
}

}  // namespace
}  // namespace sluice::test
