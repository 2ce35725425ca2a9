// The watcher with threads of one process; what needs a second process is in peer_watcher_process_test.cpp.
#include "peer_watcher.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "full_descriptor_table.hpp"
#include "open_descriptors.hpp"
#include "packet_pair.hpp"
#include "running_threads.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::PeerWatcher;
using ipc::Watch;

constexpr std::string_view kThreadName = "sluice-watch";

class Watching : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_TRUE(threads_become(kThreadName, 0)) << "a thread was left running";
    EXPECT_EQ(open_descriptors(), descriptors_before_) << "descriptors leaked";
  }

  Watchdog watchdog_{60s, "Watching"};
  std::size_t descriptors_before_ = open_descriptors();
};

// A callback that can be waited for.
class Gone {
 public:
  std::function<void()> callback() {
    return [this] {
      if (calls_.fetch_add(1) == 0) first_.set_value();
    };
  }
  bool happens() { return first_.get_future().wait_until(soon()) == std::future_status::ready; }
  int calls() const { return calls_.load(); }

 private:
  std::atomic<int> calls_{0};
  std::promise<void> first_;
};

void close(PacketSocket& socket) {
  socket = PacketSocket(Descriptor());
}

// Runs the watcher through everything it has been told before: what a later event reports has overtaken
// nothing.
void let_pending_events_pass() {
  PacketPair pair;
  Gone gone;
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, gone.callback());
  close(pair.right);
  ASSERT_TRUE(gone.happens());
}

TEST_F(Watching, TellsOnceWhenThePeerCloses) {
  PacketPair pair;
  Gone gone;
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, gone.callback());
  let_pending_events_pass();
  EXPECT_EQ(gone.calls(), 0);
  close(pair.right);
  EXPECT_TRUE(gone.happens());
  pair.left.shut_down();
  let_pending_events_pass();
  EXPECT_EQ(gone.calls(), 1);
}

TEST_F(Watching, TellsAtOnceWhenThePeerHadClosedBefore) {
  PacketPair pair;
  close(pair.right);
  Gone gone;
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, gone.callback());
  EXPECT_TRUE(gone.happens());
}

TEST_F(Watching, TellsWhenAnySideShutsDown) {
  for (const bool ours : {false, true}) {
    PacketPair pair;
    Gone gone;
    const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, gone.callback());
    (ours ? pair.left : pair.right).shut_down();
    EXPECT_TRUE(gone.happens());
  }
}

TEST_F(Watching, IsNotDisturbedByUnreadPackets) {
  PacketPair pair;
  Gone gone;
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, gone.callback());
  pair.right.send(bytes_of("unexpected"), {}, soon());
  let_pending_events_pass();
  EXPECT_EQ(gone.calls(), 0);

  timespec before{};
  timespec after{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  std::this_thread::sleep_for(200ms);  // the span that is observed, no synchronisation
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const auto used_ns = (after.tv_sec - before.tv_sec) * 1'000'000'000 + (after.tv_nsec - before.tv_nsec);
  EXPECT_LT(used_ns, 100'000'000) << "the watcher spins";

  close(pair.right);
  EXPECT_TRUE(gone.happens()) << "a hang-up behind unread packets was missed";
}

TEST_F(Watching, RunsOnANamedThreadThatBlocksSignals) {
  PacketPair pair;
  std::promise<std::pair<std::string, bool>> seen;
  const Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, [&] {
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    seen.set_value({name.data(), ::sigismember(&mask, SIGTERM) == 1 && ::sigismember(&mask, SIGALRM) == 1});
  });
  close(pair.right);
  const auto [name, blocked] = seen.get_future().get();
  EXPECT_EQ(name, kThreadName);
  EXPECT_TRUE(blocked);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 0) << "our own mask was changed";
}

TEST_F(Watching, SharesOneThreadThatEndsWithItsLastUser) {
  PacketPair pair;
  auto first = PeerWatcher::shared();
  EXPECT_TRUE(threads_become(kThreadName, 1));
  EXPECT_EQ(PeerWatcher::shared(), first);
  Watch watch = first->watch(pair.left.fd(), -1, [] {});
  first.reset();
  EXPECT_EQ(running_threads(kThreadName), 1U) << "a watch keeps it";
  watch.reset();
  EXPECT_TRUE(threads_become(kThreadName, 0));
  let_pending_events_pass();  // a new one
}

TEST_F(Watching, CallsNothingOnceTheWatchIsGone) {
  PacketPair pair;
  const auto watcher = PeerWatcher::shared();
  Gone gone;
  Watch watch = watcher->watch(pair.left.fd(), -1, gone.callback());
  watch.reset();
  watch.reset();
  close(pair.right);
  let_pending_events_pass();
  EXPECT_EQ(gone.calls(), 0);
}

TEST_F(Watching, MovesWithItsHolder) {
  PacketPair pair;
  PacketPair other;
  const auto watcher = PeerWatcher::shared();
  Gone gone;
  Gone replaced;
  Watch from = watcher->watch(pair.left.fd(), -1, gone.callback());
  Watch to = watcher->watch(other.left.fd(), -1, replaced.callback());
  to = std::move(from);
  close(other.right);
  let_pending_events_pass();
  EXPECT_EQ(replaced.calls(), 0) << "what was assigned over is still watched";
  close(pair.right);
  EXPECT_TRUE(gone.happens());
}

TEST_F(Watching, WaitsForARunningCallbackBeforeItsWatchIsGone) {
  PacketPair pair;
  std::promise<void> started;
  std::atomic<bool> finished{false};
  auto captured = std::make_shared<int>(0);
  const std::weak_ptr<int> capture = captured;
  const auto watcher = PeerWatcher::shared();  // so that the watch alone waits, not the end of the watcher
  Watch watch = watcher->watch(pair.left.fd(), -1, [&, captured = std::move(captured)] {
    started.set_value();
    std::this_thread::sleep_for(50ms);  // long enough for a reset() that doesn't wait to be caught
    finished = true;
  });
  close(pair.right);
  started.get_future().wait();
  watch.reset();
  EXPECT_TRUE(finished);
  EXPECT_TRUE(capture.expired()) << "the captures outlived the watch";
}

TEST_F(Watching, CanBeEndedFromWithinItsCallback) {
  PacketPair pair;
  std::promise<void> done;
  const auto watcher = PeerWatcher::shared();
  Watch watch;
  std::promise<void> assigned;
  watch = watcher->watch(pair.left.fd(), -1, [&] {
    assigned.get_future().wait();
    watch.reset();
    done.set_value();
  });
  assigned.set_value();
  close(pair.right);
  done.get_future().wait();
  let_pending_events_pass();
}

TEST_F(Watching, CanLoseItsLastUserOnItsOwnThread) {
  PacketPair pair;
  std::promise<void> assigned;
  std::promise<void> done;
  Watch watch;
  watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, [&] {
    assigned.get_future().wait();
    watch.reset();
    done.set_value();
  });
  close(pair.right);
  assigned.set_value();
  done.get_future().wait();
  EXPECT_TRUE(threads_become(kThreadName, 0));
}

// The shape of a port: the callback owns the object that owns the watch.
TEST_F(Watching, BreaksACycleOfWatchAndCaptureOnItsOwnThread) {
  struct Holder {
    PacketPair pair;
    Watch watch;
  };
  auto holder = std::make_shared<Holder>();
  const std::weak_ptr<Holder> alive = holder;
  holder->watch = PeerWatcher::shared()->watch(holder->pair.left.fd(), -1, [holder] {});
  close(holder->pair.right);
  holder.reset();
  const auto deadline = soon();
  while (!alive.expired() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(alive.expired());
}

TEST_F(Watching, RefusesDescriptorsThatCannotBeWatched) {
  PacketPair pair;
  const auto watcher = PeerWatcher::shared();
  const Descriptor file(::memfd_create("watch-test", MFD_CLOEXEC));
  const auto not_permitted = std::errc::operation_not_permitted;
  const std::string words = "watching descriptor " + std::to_string(file.get());
  EXPECT_TRUE(throws(not_permitted, words, [&] { watcher->watch(file.get(), -1, [] {}); }));
  EXPECT_TRUE(throws(not_permitted, words, [&] { watcher->watch(pair.left.fd(), file.get(), [] {}); }));
  EXPECT_TRUE(throws(std::errc::bad_file_descriptor, "watching descriptor -1",
                     [&] { watcher->watch(-1, -1, [] {}); }));
  Gone gone;
  const Watch watch =
      watcher->watch(pair.left.fd(), -1, gone.callback());  // the failures left nothing behind
  close(pair.right);
  EXPECT_TRUE(gone.happens());
}

TEST_F(Watching, SurvivesManyThreadsWatchingAndLeaving) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  std::atomic<int> calls{0};
  const auto work = [&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      PacketPair pair;
      // Lives as long as the watch, no longer: a late or doubled call is seen, or caught by a sanitizer.
      auto own_calls = std::make_unique<std::atomic<int>>(0);
      Watch watch = PeerWatcher::shared()->watch(pair.left.fd(), -1, [&calls, counter = own_calls.get()] {
        counter->fetch_add(1);
        calls.fetch_add(1);
      });
      const bool wait = (round + thread) % 3 == 0;
      if (round % 2 == 0 || wait) close(pair.right);
      while (wait && own_calls->load() == 0) std::this_thread::yield();
      watch.reset();
      EXPECT_LE(own_calls->load(), 1);
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (auto& thread : threads) thread.join();
  EXPECT_GE(calls.load(), kThreads * kRounds / 3);
}

TEST_F(Watching, TellsAPidfdFromOtherDescriptors) {
  const Descriptor pidfd = ipc::own_pidfd();
  ASSERT_TRUE(pidfd) << "this system has no pidfd_open";
  EXPECT_EQ(ipc::is_pidfd(pidfd.get()), std::optional(true));
  const PacketPair pair;
  const Descriptor event(::eventfd(0, EFD_CLOEXEC));
  const Descriptor memory(::memfd_create("Pid:\t1", MFD_CLOEXEC));
  for (const int other : {pair.left.fd(), event.get(), memory.get(), -1})
    EXPECT_EQ(ipc::is_pidfd(other), std::optional(false)) << other;
  EXPECT_EQ(ipc::is_pidfd(999999), std::nullopt);
  if (!kCanThrowWithoutDescriptors) return;
  const FullDescriptorTable full;
  EXPECT_TRUE(throws(std::errc::too_many_files_open, "pidfd", [&] { (void)ipc::is_pidfd(pidfd.get()); }));
}

}  // namespace
}  // namespace sluice::test
