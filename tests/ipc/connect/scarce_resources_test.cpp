// A process that runs out of descriptors at any step, or may make no files of the size: an error with its
// true cause, and later clients are served.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "full_descriptor_table.hpp"
#include "process_signal.hpp"
#include "session_parts.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// While it lives, this process can open so many descriptors and no more.
class FewDescriptors {
 public:
  explicit FewDescriptors(std::size_t left) {
    while (Descriptor filler{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)})
      fillers_.push_back(std::move(filler));
    for (; left > 0; --left) fillers_.pop_back();
  }

 private:
  std::vector<Descriptor> fillers_;
};

void limit(int resource, rlim_t most) {
  rlimit both{};
  ::getrlimit(resource, &both);
  both.rlim_cur = most;
  ASSERT_EQ(::setrlimit(resource, &both), 0);
}

constexpr rlim_t kDescriptors = 64;
/// More than either side needs.
constexpr std::size_t kEnough = 24;
const PortOptions kSmall{.ring_bytes = 4096};

class Scarce : public ::testing::Test {
 protected:
  static void expect_cause(const error& why) {
    EXPECT_EQ(why.code(), std::errc::too_many_files_open) << why.what();
  }

  const Watchdog watchdog_{100s, "scarce resources"};
  TempDirectory directory_;
  std::string path_ = directory_.file("channel").string();
};

TEST_F(Scarce, DescriptorsOfAConnectorAreItsOwnError) {
  if (!kCanThrowWithoutDescriptors) GTEST_SKIP() << "the sanitizer itself needs descriptors";
  Listener listener = listen(path_, {.port = kSmall});
  for (std::size_t left = 0; left <= kEnough; ++left) {
    SCOPED_TRACE(left);
    const ProcessSignal tried;
    ChildProcess client([&] {
      limit(RLIMIT_NOFILE, kDescriptors);
      bool connected = false;
      {
        const FewDescriptors few(left);
        try {
          connected = connect(path_, {.port = kSmall, .timeout = 10s}).is_open();
        } catch (const error& why) {
          expect_cause(why);
        }
      }
      EXPECT_TRUE(connected || left < kEnough);
      tried.notify();
      EXPECT_EQ(connect(path_, {.port = kSmall}).post_message({}), Status::ok);
    });
    bool received = false;
    while (!received) {
      std::optional<Port> port = listener.accept_for(20s);
      ASSERT_TRUE(port);
      received = static_cast<bool>(port->receive());
    }
    tried.wait();
    EXPECT_TRUE(client.wait_for(20s)->ok());
  }
}

TEST_F(Scarce, DescriptorsOfAListenerCostOneClientOnly) {
  if (!kCanThrowWithoutDescriptors) GTEST_SKIP() << "the sanitizer itself needs descriptors";
  for (std::size_t left = 0; left <= kEnough; ++left) {
    SCOPED_TRACE(left);
    const ProcessSignal listening;
    ChildProcess server([&] {
      limit(RLIMIT_NOFILE, kDescriptors);
      Listener listener = listen(
          path_, {.port = kSmall, .on_refused = [&](const std::string& why) {
                    const auto says = [&](const char* words) { return why.find(words) != std::string::npos; };
                    EXPECT_TRUE(says("Too many open files") || says("peer gone") || says("in time")) << why;
                  }});
      listening.notify();
      bool received = false;
      {
        const FewDescriptors few(left);
        try {
          if (std::optional<Port> port = listener.accept_for(200ms))
            received = port->receive().status() == Status::ok;
        } catch (const error& why) {
          expect_cause(why);
        }
      }
      while (!received) {
        std::optional<Port> port = listener.accept_for(20s);
        ASSERT_TRUE(port);
        received = static_cast<bool>(port->receive());
      }
    });
    listening.wait();
    bool served = false;
    while (!served) {
      try {
        // Who is welcomed has a peer: whatever can fail there has been done before.
        Port port = connect(path_, {.port = kSmall});
        served = true;
        EXPECT_EQ(port.post_message({}), Status::ok);
        EXPECT_EQ(port.wait_until_consumed(), Status::ok);
      } catch (const error& why) {
        const bool told = std::string(why.what()).find("Too many open files") != std::string::npos;
        EXPECT_TRUE(why.code() == connect_errc::refused && told) << why.what();
      }
    }
    EXPECT_TRUE(server.wait_for(30s)->ok());
  }
}

TEST_F(Scarce, DescriptorsOfOneSideOfASessionAreItsOwnError) {
  if (!kCanThrowWithoutDescriptors) GTEST_SKIP() << "the sanitizer itself needs descriptors";
  for (const Role role : {Role::host, Role::join}) {
    for (std::size_t left = 0; left <= kEnough; left += 1) {
      SCOPED_TRACE(left);
      ChildProcess poor([&] {
        limit(RLIMIT_NOFILE, kDescriptors);
        const FewDescriptors few(left);
        try {
          (void)open_session(role, path_, {.port = kSmall, .timeout = 300ms});
        } catch (const error& why) {
          EXPECT_TRUE(why.code() == std::errc::too_many_files_open || why.code() == errc::timed_out)
              << why.what();
          EXPECT_LT(left, kEnough) << why.what();
        }
      });
      ChildProcess rich([&] {
        try {
          Port port = open_session(other(role), path_, {.port = kSmall, .timeout = 400ms});
        } catch (const error& why) {
          const bool told = std::string(why.what()).find("Too many open files") != std::string::npos;
          EXPECT_TRUE(told || why.code() == errc::timed_out || why.code() == connect_errc::peer_gone)
              << why.what();
        }
      });
      EXPECT_TRUE(poor.wait_for(30s)->ok());
      EXPECT_TRUE(rich.wait_for(30s)->ok());
    }
  }
}

// The signal that the kernel sends otherwise would end the process.
TEST_F(Scarce, FileSizesAreAnErrorOfOneClientOnly) {
  ChildProcess client([&] {
    EXPECT_TRUE(throws(connect_errc::refused, "File too large", [&] { (void)connect(path_); }));
    EXPECT_EQ(connect(path_).post_message({}), Status::ok);
  });
  ChildProcess server([&] {
    int refused = 0;
    Listener listener = listen(path_, {.on_refused = [&](const std::string& why) {
                                 EXPECT_NE(why.find("ulimit -f"), std::string::npos) << why;
                                 ++refused;
                                 limit(RLIMIT_FSIZE, RLIM_INFINITY);
                               }});
    limit(RLIMIT_FSIZE, 100 << 10);
    Port port = listener.accept();
    EXPECT_EQ(refused, 1);
    EXPECT_TRUE(port.receive());
  });
  EXPECT_TRUE(server.wait_for(30s)->ok());
  EXPECT_TRUE(client.wait_for(30s)->ok());
}

TEST_F(Scarce, FileSizesAreAnErrorOfAHostThatWaitsForTheNext) {
  ChildProcess host([&] {
    limit(RLIMIT_FSIZE, 100 << 10);
    EXPECT_TRUE(throws(std::errc::file_too_large, "ulimit -f",
                       [&] { (void)host_session(path_, {.timeout = 500ms}); }));
    limit(RLIMIT_FSIZE, RLIM_INFINITY);
    EXPECT_EQ(host_session(path_).post_message({}), Status::ok);
  });
  EXPECT_TRUE(throws(connect_errc::refused, "File too large", [&] { (void)join_session(path_); }));
  std::this_thread::sleep_for(600ms);
  EXPECT_TRUE(join_session(path_).receive());
  EXPECT_TRUE(host.wait_for(30s)->ok());
}

TEST_F(Scarce, FileSizesAreTheEndOfOneJoinerAndNotOfItsHost) {
  const ProcessSignal limited;
  ChildProcess host([&] {
    limit(RLIMIT_FSIZE, 100 << 10);
    limited.notify();
    EXPECT_EQ(host_session(path_).post_message({}), Status::ok);
  });
  limited.wait();
  EXPECT_TRUE(throws(connect_errc::refused, "File too large", [&] { (void)join_session(path_); }));
  rlimit ours{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &ours), 0);
  ASSERT_EQ(::prlimit(host.pid(), RLIMIT_FSIZE, &ours, nullptr), 0);
  EXPECT_TRUE(join_session(path_).receive());
  EXPECT_TRUE(host.wait_for(30s)->ok());
}

}  // namespace
}  // namespace sluice::test
