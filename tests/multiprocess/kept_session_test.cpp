// Sessions that are kept in files: both processes may be gone, and the next pair goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "full_descriptor_table.hpp"
#include "number_message.hpp"
#include "report.hpp"
#include "session_parts.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "throws.hpp"
#include "tight_address_space.hpp"
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

TEST_F(KeptSession, SaysNothingOfStoredFilesIfThereWereNone) {
  SessionOptions telling = options();
  telling.on_state = [](const SessionEvent& event) {
    EXPECT_TRUE(event.state != SessionState::connected || event.text.empty()) << event.text;
  };
  ChildProcess host([&] { EXPECT_TRUE(host_session(channel_.path(), telling).receive()); });
  EXPECT_EQ(join_session(channel_.path(), telling).post_message({}), Status::ok);
  EXPECT_TRUE(host.wait_for(20s)->ok());
}

TEST_F(KeptSession, LeavesNoFileOfEitherSideWhenItEndsWithoutItsPeer) {
  for (const bool expires : {false, true}) {
    for (const Role role : {Role::host, Role::join}) {
      std::optional<ChildProcess> peer(std::in_place, [&] {
        Port port = open_session(other(role), channel_.path(), options());
        ::pause();
      });
      Events events;
      SessionOptions ending = options();
      ending.on_state = events.handler();
      if (expires) ending.resume_window = 0s;
      {
        Port port = open_session(role, channel_.path(), ending);
        peer.reset();
        EXPECT_TRUE(events.wait_for(expires ? SessionState::closed : SessionState::waiting_for_peer));
      }
      for (const std::string& file : files()) EXPECT_EQ(file.find(".ring"), std::string::npos) << file;
      for (const std::string& file : files()) std::filesystem::remove(channel_.directory() + "/" + file);
    }
  }
}

/// A pair that was killed: of 10 messages each way 5 were released, and of those of a pair before it all 10.
class LeftSession : public KeptSession {
 protected:
  static constexpr std::uint64_t kMessages = 10;

  LeftSession() {
    leave(kMessages);
    for (const char* role : {"host", "join"}) copy(role, "", ".old");
    leave(kMessages / 2);
  }

  void leave(std::uint64_t released) {
    const auto use = [released](Port& port, const Report& report) {
      for (std::uint64_t i = 0; i < kMessages; ++i)
        EXPECT_EQ(port.post_message(bytes_of(port.next_sequence())), Status::ok);
      for (std::uint64_t i = 0; i < released; ++i) {
        const Message message = port.receive();
        EXPECT_EQ(number_in(message), message.sequence());
      }
      report.say(HasFailure() ? 0 : 1);
      ::pause();
    };
    Report host_report, join_report;
    ChildProcess host = process(Role::host, [&](Port& port) { use(port, host_report); });
    ChildProcess joiner = process(Role::join, [&](Port& port) { use(port, join_report); });
    ASSERT_EQ(host_report.hear(), 1U);
    ASSERT_EQ(join_report.hear(), 1U);
  }

  std::string ring(const std::string& role) const { return channel_.path() + "." + role + ".ring"; }
  void copy(const std::string& role, const std::string& from, const std::string& to) const {
    std::filesystem::copy_file(ring(role) + from, ring(role) + to,
                               std::filesystem::copy_options::overwrite_existing);
  }
  /// Overwrites `bytes` of a file.
  void overwrite(const std::string& role, off_t at, std::size_t bytes, char with = 0) const {
    const Descriptor file(::open(ring(role).c_str(), O_WRONLY | O_CLOEXEC));
    const std::string garbage(bytes, with);
    ASSERT_EQ(::pwrite(file.get(), garbage.data(), bytes, at), static_cast<ssize_t>(bytes));
  }

  /// The next pair; what both are told, and whether the one after it goes on with that.
  void expect_anew(const std::string& words) {
    SCOPED_TRACE(words);
    const auto first = [&](const SessionEvent& event) {
      EXPECT_EQ(event.state, SessionState::connected) << event.text;
      EXPECT_EQ(event.epoch, 1U);
      EXPECT_NE(event.text.find("no session that can be gone on with"), std::string::npos) << event.text;
    };
    const auto next = [](const SessionEvent& event) { EXPECT_EQ(event.state, SessionState::resumed); };
    expect_pair(
        [&](const SessionEvent& event) {
          first(event);
          EXPECT_NE(event.text.find(words), std::string::npos) << event.text;
        },
        first);
    expect_pair(next, next);
  }
  void expect_pair(const SessionHandler& on_host, const SessionHandler& on_joiner) {
    const auto side = [this](Role role, const SessionHandler& told) {
      return [=, this] {
        SessionOptions telling = options();
        bool once = false;
        telling.on_state = [&](const SessionEvent& event) {
          if (!once) told(event);
          once = true;
        };
        Port port = open_session(role, channel_.path(), telling);
        EXPECT_EQ(port.next_sequence(), 1U);
        if (!HasFailure()) ::kill(::getpid(), SIGKILL);
      };
    };
    ChildProcess host(side(Role::host, on_host));
    ChildProcess joiner(side(Role::join, on_joiner));
    EXPECT_EQ(host.wait_for(20s)->signal, SIGKILL);
    EXPECT_EQ(joiner.wait_for(20s)->signal, SIGKILL);
  }
};

constexpr off_t kControl = 4096;
constexpr off_t kData = 8192;

TEST_F(LeftSession, BeginsAnewAndSaysSoIfTheRecordsOfOneFileAreLost) {
  overwrite("host", kData, 4096);
  expect_anew("contradict each other");
}

TEST_F(LeftSession, BeginsAnewAndSaysSoIfTheRecordsOfTheOtherAreGarbage) {
  overwrite("join", kData + 64, 512, 'x');
  expect_anew("records up to the tail");
}

TEST_F(LeftSession, BeginsAnewAndSaysSoIfThePositionsOfAFileAreLost) {
  overwrite("join", kControl, 4096);
  expect_anew("contradict each other");
}

TEST_F(LeftSession, BeginsAnewAndSaysSoIfAHeaderIsLost) {
  overwrite("host", 0, 4096);
  expect_anew("expected magic");
}

TEST_F(LeftSession, BeginsAnewAndSaysSoIfOneFileIsOlder) {
  for (const char* role : {"host", "join"}) {
    for (const char* each : {"host", "join"}) copy(each, "", ".new");
    copy(role, ".old", "");
    expect_anew("older than the other");
    for (const char* each : {"host", "join"}) copy(each, ".new", "");
  }
}

TEST_F(LeftSession, BeginsAnewAndSaysSoIfTheFilesWereExchanged) {
  std::filesystem::rename(ring("host"), ring("host") + ".kept");
  std::filesystem::rename(ring("join"), ring("host"));
  std::filesystem::rename(ring("host") + ".kept", ring("join"));
  expect_anew("exchanged");
}

TEST_F(LeftSession, BeginsAnewAndSaysSoAfterTheMachineWasStartedAgain) {
  overwrite("host", offsetof(ring::RegionHeader, boot), 16, 'x');
  expect_anew("before the machine was started again");
}

TEST_F(LeftSession, BeginsAnewAndSaysSoIfOneFileIsMissing) {
  std::filesystem::remove(ring("host"));
  expect_anew("is missing");
}

// A newer build's files are not for this one to overwrite.
TEST_F(LeftSession, StaysAsItIsIfAnotherVersionHasWrittenIt) {
  overwrite("join", offsetof(ring::RegionHeader, layout_version), 1, 9);
  EXPECT_TRUE(throws(ring::errc::bad_version, "layout version 1, got 9",
                     [&] { (void)host_session(channel_.path(), options()); }));
  overwrite("join", offsetof(ring::RegionHeader, layout_version), 1, 1);
  ChildProcess host = process(Role::host, [](Port& port) { EXPECT_EQ(port.session()->epoch, 3U); });
  Port port = join_session(channel_.path(), options());
  EXPECT_EQ(port.receive().sequence(), kMessages + kMessages / 2 + 1);
  EXPECT_TRUE(host.wait_for(20s)->ok());
}

// Whatever the host is short of, it says so, and overwrites nothing.
TEST_F(LeftSession, StaysAsItIsIfTheHostRunsOutOfDescriptorsOrMemory) {
  if (!kCanThrowWithoutDescriptors || !kAddressSpaceCanBeTight) GTEST_SKIP() << "a sanitizer needs its own";
  for (int left = 0; left < 12; ++left) {
    ChildProcess host([&] {
      std::vector<Descriptor> fillers;
      rlimit few{};
      ::getrlimit(RLIMIT_NOFILE, &few);
      few.rlim_cur = 64;
      ::setrlimit(RLIMIT_NOFILE, &few);
      while (Descriptor filler{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)})
        fillers.push_back(std::move(filler));
      for (int i = 0; i < left; ++i) fillers.pop_back();
      SessionOptions options_of_host = options();
      options_of_host.timeout = 50ms;
      try {
        (void)host_session(channel_.path(), options_of_host);
      } catch (const error& why) {
        EXPECT_TRUE(why.code() == std::errc::too_many_files_open || why.code() == errc::timed_out)
            << why.what();
      }
    });
    EXPECT_TRUE(host.wait_for(20s)->ok());
  }
  ChildProcess host([&] {
    const TightAddressSpace tight(8192);
    EXPECT_TRUE(
        throws(std::errc::not_enough_memory, "", [&] { (void)host_session(channel_.path(), options()); }));
  });
  EXPECT_TRUE(host.wait_for(20s)->ok());
  ChildProcess next = process(Role::host, [](Port& port) { EXPECT_EQ(port.session()->epoch, 3U); });
  Port port = join_session(channel_.path(), options());
  EXPECT_EQ(port.receive().sequence(), kMessages + kMessages / 2 + 1);
  EXPECT_TRUE(next.wait_for(20s)->ok());
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
  const std::string another = channel_.path() + ".another";
  ASSERT_TRUE(Descriptor(::open(another.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
  for (const char* role : {"host", "join"}) {
    const std::string ring = channel_.path() + "." + role + ".ring";
    const auto refused = [&] {
      for (const Role opening : {Role::host, Role::join}) {
        EXPECT_TRUE(throws(errc::unsafe_place, "expected a regular file",
                           [&] { (void)open_session(opening, channel_.path(), options()); }));
      }
      std::filesystem::remove(ring);
    };
    ASSERT_EQ(::mkfifo(ring.c_str(), 0600), 0);
    refused();
    std::filesystem::create_symlink(another, ring);
    refused();
    std::filesystem::create_hard_link(another, ring);
    refused();
    if (::geteuid() != 0) continue;
    std::filesystem::copy_file(another, ring);
    ASSERT_EQ(::lchown(ring.c_str(), 65534, 65534), 0);
    refused();
  }
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
