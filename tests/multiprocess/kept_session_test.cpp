// Sessions that are kept in files: both processes may be gone, and the next pair goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "number_message.hpp"
#include "report.hpp"
#include "session_parts.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// Both processes of a session that is kept in files.
class KeptSession : public ::testing::Test {
 protected:
  SessionOptions options() const {
    SessionOptions options;
    options.port.ring_bytes = 8192;
    options.directory = channel_.directory();
    return options;
  }
  template <typename Body>
  ChildProcess process(Role role, Body body) {
    return ChildProcess([role, path = channel_.path(), options = options(), body = std::move(body)] {
      Port port = open_session(role, path, options);
      body(port);
    });
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(channel_.directory()))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  const Watchdog watchdog_{60s, "a session in files"};
  TestChannel channel_;
};

TEST_F(KeptSession, GoesOnWhenBothProcessesWereKilled) {
  for (std::uint64_t round = 0; round < 10; ++round) {
    // The consumer receives five of ten messages in each round, and releases four of them.
    Report posted, received;
    ChildProcess producer = process(Role::host, [&](Port& port) {
      EXPECT_EQ(port.next_sequence(), 10 * round + 1);
      EXPECT_EQ(port.session()->epoch, round + 1);
      for (std::uint64_t number = 10 * round + 1; number <= 10 * round + 10; ++number)
        ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
      posted.say(::testing::Test::HasFailure() ? 0 : 1);
      ::pause();
    });
    ChildProcess consumer = process(Role::join, [&](Port& port) {
      for (std::uint64_t number = 4 * round + 1; number <= 4 * round + 4; ++number) {
        const Message message = port.receive();
        ASSERT_EQ(number_in(message), number);
        ASSERT_EQ(message.sequence(), number);
      }
      const Message held = port.receive();
      received.say(number_in(held));
      ::pause();
    });
    ASSERT_EQ(posted.hear(), 1U);
    ASSERT_EQ(received.hear(), 4 * round + 5);
    (round % 2 == 0 ? producer : consumer).signal(SIGKILL);
    (round % 2 == 0 ? consumer : producer).signal(SIGKILL);
    ASSERT_TRUE(producer.wait_for(20s) && consumer.wait_for(20s));
  }
}

TEST_F(KeptSession, LeavesNoFileWhenItEnds) {
  {
    ChildProcess producer = process(Role::host, [](Port& port) {
      EXPECT_EQ(port.post_message({}), Status::ok);
      EXPECT_EQ(port.wait_until_consumed(), Status::ok);
    });
    ChildProcess consumer = process(Role::join, [&](Port& port) {
      EXPECT_TRUE(port.receive());
      EXPECT_EQ(port.receive().status(), Status::closed);
    });
    EXPECT_TRUE(producer.wait_for(20s)->ok());
    EXPECT_TRUE(consumer.wait_for(20s)->ok());
  }
  EXPECT_EQ(files(), std::vector<std::string>{});
}

TEST_F(KeptSession, BeginsAnewWhereTheFilesAreNoneOfASession) {
  const std::string garbage(100, 'x');
  for (const char* role : {"host", "join"}) {
    const std::string path = channel_.path() + "." + role + ".ring";
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::write(file.get(), garbage.data(), garbage.size()), 100);
  }
  ChildProcess peer = process(Role::host, [](Port& port) { EXPECT_EQ(port.session()->epoch, 1U); });
  Port port = join_session(channel_.path(), options());
  EXPECT_EQ(port.session()->epoch, 1U);
  EXPECT_TRUE(peer.wait_for(20s)->ok());
}

TEST_F(KeptSession, IsRefusedByAPeerThatDidNotChooseIt) {
  ChildProcess peer = process(Role::host, [](Port&) {});
  SessionOptions sealed;
  sealed.timeout = 2s;
  EXPECT_TRUE(
      throws(ring::errc::bad_region, "without seals", [&] { (void)join_session(channel_.path(), sealed); }));
}

TEST_F(KeptSession, RefusesADirectoryThatOthersCanWriteAlsoIfItIsSticky) {
  SessionOptions options;
  options.directory = channel_.directory();
  for (const mode_t mode : {0777U, 01777U, 01770U}) {
    ASSERT_EQ(::chmod(channel_.directory().c_str(), mode), 0);
    EXPECT_TRUE(throws(errc::unsafe_place, "can be written by others",
                       [&] { (void)host_session("some-name", options); }));
    EXPECT_TRUE(throws(errc::unsafe_place, "can be written by others",
                       [&] { (void)join_session("some-name", options); }));
  }
}

TEST_F(KeptSession, RefusesWhatIsNoFileOfItsUserAtOnce) {
  ASSERT_EQ(::mkfifo((channel_.path() + ".host.ring").c_str(), 0600), 0);
  EXPECT_TRUE(
      throws(errc::unsafe_place, "regular file", [&] { (void)host_session(channel_.path(), options()); }));
}

TEST_F(KeptSession, HasFilesForItsUserOnlyWhateverTheUmask) {
  for (const mode_t mask : {0U, 0777U}) {
    ChildProcess host = process(Role::host, [](Port& port) { EXPECT_TRUE(port.receive()); });
    {
      const mode_t before = ::umask(mask);
      Port port = join_session(channel_.path(), options());
      ::umask(before);
      struct stat info {};
      ASSERT_EQ(::stat((channel_.path() + ".join.ring").c_str(), &info), 0);
      EXPECT_EQ(info.st_mode, S_IFREG | 0600U);
      EXPECT_EQ(port.post_message({}), Status::ok);
      EXPECT_EQ(port.wait_until_consumed(), Status::ok);
    }
    EXPECT_TRUE(host.wait_for(20s)->ok());
  }
}

}  // namespace
}  // namespace sluice::test
