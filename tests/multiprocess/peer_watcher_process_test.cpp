// The watcher with real processes: kills, zombies, grandchildren, forks.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <future>
#include <optional>

#include "child_process.hpp"
#include "open_descriptors.hpp"
#include "packet_pair.hpp"
#include "peer_watcher.hpp"
#include "running_threads.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ipc::PeerWatcher;
using ipc::Watch;

class WatchingProcesses : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(open_descriptors(), before_) << "descriptors leaked"; }

  Watchdog watchdog_{60s, "WatchingProcesses"};
  std::size_t before_ = open_descriptors();
};

// When the callback came; nothing if it doesn't come in time.
class Arrival {
 public:
  std::function<void()> callback() {
    return [this] { time_.set_value(Clock::now()); };
  }
  std::optional<Clock::time_point> get() {
    auto future = time_.get_future();
    if (future.wait_until(soon()) != std::future_status::ready) return std::nullopt;
    return future.get();
  }

 private:
  std::promise<Clock::time_point> time_;
};

void report_latency(const char* what, Clock::duration latency) {
  std::printf("[  LATENCY ] %s: %lld us\n", what,
              static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(latency).count()));
  EXPECT_LT(latency, 1s);
}

// A child that sends its pidfd, does `then`, and waits to be killed.
template <class Then>
auto peer(PacketPair& pair, Then then) {
  return [&pair, then] {
    pair.left = PacketSocket(Descriptor());
    const Descriptor pidfd = ipc::own_pidfd();
    const std::array<int, 1> descriptors{pidfd.get()};
    then();
    pair.right.send(bytes_of("pidfd"), descriptors, soon());
    for (;;) ::pause();
  };
}

Descriptor receive_pidfd(PacketPair& pair) {
  auto packet = pair.left.receive(soon());
  if (packet.descriptors.size() != 1 || ipc::is_pidfd(packet.descriptors.front().get()) != true) return {};
  return std::move(packet.descriptors.front());
}

TEST_F(WatchingProcesses, TellsThatAPeerWasKilled) {
  for (const bool with_pidfd : {true, false}) {
    PacketPair pair;
    const ChildProcess child(peer(pair, [] {}));
    pair.right = PacketSocket(Descriptor());
    const Descriptor pidfd = receive_pidfd(pair);
    ASSERT_TRUE(pidfd);
    Arrival gone;
    const Watch watch =
        PeerWatcher::shared()->watch(pair.left.fd(), with_pidfd ? pidfd.get() : -1, gone.callback());
    const auto killed = Clock::now();
    child.signal(SIGKILL);
    const auto arrived = gone.get();
    ASSERT_TRUE(arrived);
    report_latency(with_pidfd ? "kill -9, socket and pidfd" : "kill -9, socket only", *arrived - killed);
  }
}

TEST_F(WatchingProcesses, TellsThatAPeerWasKilledThoughAGrandchildHoldsItsSocket) {
  PacketPair pair;
  pid_t grandchild = -1;
  {
    const ChildProcess child(peer(pair, [&] {
      const pid_t forked = ::fork();
      if (forked == 0) {
        ::alarm(60);  // it has no parent soon, and must not outlive a broken test
        for (;;) ::pause();
      }
      pair.right.send(std::as_bytes(std::span(&forked, 1)), {}, soon());
    }));
    pair.right = PacketSocket(Descriptor());
    const auto packet = pair.left.receive(soon());
    ASSERT_EQ(packet.bytes.size(), sizeof(grandchild));
    std::memcpy(&grandchild, packet.bytes.data(), sizeof(grandchild));
    const Descriptor pidfd = receive_pidfd(pair);
    ASSERT_TRUE(pidfd);
    Arrival gone;
    const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), pidfd.get(), gone.callback());
    const auto killed = Clock::now();
    child.signal(SIGKILL);
    const auto arrived = gone.get();
    ASSERT_TRUE(arrived);
    report_latency("kill -9, socket held by a grandchild", *arrived - killed);
    EXPECT_FALSE(pair.left.try_receive()) << "the socket was to be open still";
  }
  ASSERT_EQ(::kill(grandchild, SIGKILL), 0);
}

TEST_F(WatchingProcesses, CountsAZombieAsGone) {
  PacketPair pair;
  const ChildProcess child(peer(pair, [] {}));  // reaped by its destructor, at the end
  const Descriptor pidfd = receive_pidfd(pair);
  ASSERT_TRUE(pidfd);
  child.signal(SIGKILL);
  ASSERT_TRUE(child.ended_within(10s));
  ASSERT_EQ(::kill(child.pid(), 0), 0) << "by its number it still exists";
  Arrival gone;
  // pair.right is still open here, so that only the pidfd can tell.
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), pidfd.get(), gone.callback());
  EXPECT_TRUE(gone.get());
}

TEST_F(WatchingProcesses, AcceptsThePidfdOfAProcessThatIsGone) {
  PacketPair pair;
  Descriptor pidfd;
  {
    const ChildProcess child(peer(pair, [] {}));
    pidfd = receive_pidfd(pair);
  }
  EXPECT_EQ(ipc::is_pidfd(pidfd.get()), std::optional(true));
  Arrival gone;
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), pidfd.get(), gone.callback());
  EXPECT_TRUE(gone.get());
}

TEST_F(WatchingProcesses, StoppedIsNotGone) {
  PacketPair pair;
  const ChildProcess child(peer(pair, [] {}));
  pair.right = PacketSocket(Descriptor());
  const Descriptor pidfd = receive_pidfd(pair);
  ASSERT_TRUE(pidfd);
  std::atomic<int> calls{0};
  Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), pidfd.get(), [&] { ++calls; });
  child.signal(SIGSTOP);
  EXPECT_FALSE(child.ended_within(50ms));
  watch.reset();
  EXPECT_EQ(calls.load(), 0);
}

TEST_F(WatchingProcesses, IsLeftAloneByAForkedChildWhichGetsItsOwn) {
  PacketPair pair;
  Arrival gone;
  auto watcher = PeerWatcher::shared();
  Watch watch = watcher->watch(pair.left.fd(), -1, gone.callback());
  // Its thread has its name when it has started: a fork before that may copy a locked allocator of a
  // sanitizer.
  ASSERT_TRUE(threads_become("sluice-watch", 1));
  ChildProcess child([&] {
    EXPECT_TRUE(
        throws(errc::misuse, "inherited through fork", [&] { watcher->watch(pair.left.fd(), -1, [] {}); }));
    PacketPair own;
    Arrival own_gone;
    const Watch own_watch = PeerWatcher::shared()->watch(own.left.fd(), -1, own_gone.callback());
    // Only now: the new thread may have the place of the one that wasn't inherited.
    watch.reset();
    watcher.reset();
    own.right = PacketSocket(Descriptor());
    EXPECT_TRUE(own_gone.get());
  });
  const auto status = child.wait_for(20s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  pair.right = PacketSocket(Descriptor());
  EXPECT_TRUE(gone.get()) << "the child blinded its parent";
}

}  // namespace
}  // namespace sluice::test
