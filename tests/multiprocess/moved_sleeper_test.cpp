// A hostile peer plays with the futexes that we sleep on: it moves our sleeping threads to a word of its own,
// or wakes them without end. Both need no more than the mapping that every peer has.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>

#include "refused_call.hpp"
#include "report.hpp"
#include "session_parts.hpp"
#include "shared_page.hpp"
#include "sluice/ring/layout.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr long kFutexWaitv = 449;

/// The control page of the region that this process owns: of its one port.
ring::ControlPage& own_control_page() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:sluice") == std::string::npos || line.find(" rw-s 00000000 ") == std::string::npos)
      continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address in words
    return *reinterpret_cast<ring::ControlPage*>(std::stoull(line, nullptr, 16) + ring::kControlOffset);
  }
  throw std::runtime_error("no region of its own in " + std::to_string(::getpid()));
}

/// What the peer's threads sleep on: its consumer on our tail, its producer on what we have released.
std::array<void*, 2> words_of_the_peers_sleepers() {
  ring::ControlPage& own = own_control_page();
  return {&own.tail.tail, &own.release.released};
}

/// Moves whoever sleeps on the peer's words to a word that nobody wakes; how many there were.
long move_sleepers(void* elsewhere) {
  long moved = 0;
  for (void* const word : words_of_the_peers_sleepers())
    moved += ::syscall(SYS_futex, word, FUTEX_REQUEUE, 0, 1000, elsewhere, 0);
  return moved;
}

/// Until a sleeper was moved.
void move_a_sleeper(void* elsewhere) {
  while (move_sleepers(elsewhere) == 0) std::this_thread::sleep_for(1ms);
}

struct Sleeper {
  const char* name;
  std::function<Status(Port&)> wait;  ///< returns what ended it
};

Status post_until_it_ends(Port& port) {
  const std::array<std::byte, 500> message{};
  Status status = Status::ok;
  while (status == Status::ok) status = port.post_message(message);
  return status;
}

const Sleeper kSleepers[] = {
    {"Receiving", [](Port& port) { return port.receive().status(); }},
    {"Posting", post_until_it_ends},
    {"WaitingUntilConsumed",
     [](Port& port) {
       const Status status = port.post_message({});
       return status == Status::ok ? port.wait_until_consumed() : status;
     }},
    {"Delivering",
     [](Port& port) {
       std::promise<Status> ended;
       port.on_message([](std::span<const std::byte>) {});
       port.on_close([&](Status reason) { ended.set_value(reason); });
       port.start();
       return ended.get_future().get();
     }},
};

enum class System { has_waitv, has_none };
enum class Victim { listens, connects };

constexpr int kCantFilter = 77;

/// In a child process: false if this kernel can't be made to look like `system`.
bool become(System system) {
  return system == System::has_waitv || refuse_system_call(kFutexWaitv, ENOSYS);
}

void expect_success(ChildProcess& victim) {
  const auto status = victim.wait_for(40s);
  ASSERT_TRUE(status) << "a wait of the victim never ended";
  if (status->code == kCantFilter) GTEST_SKIP() << "needs the right to filter its own system calls (seccomp)";
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

/// Which sleeper, in which role, on which system.
class MovedSleeper : public ::testing::TestWithParam<std::tuple<std::size_t, Victim, System>> {
 protected:
  static System system() { return std::get<2>(GetParam()); }
  static const Sleeper& sleeper() { return kSleepers[std::get<0>(GetParam())]; }

  /// The hostile peer: runs `body(port)` at the other end of the victim's port.
  template <typename Body>
  ChildProcess peer(Body body) {
    return std::get<1>(GetParam()) == Victim::listens ? connecting_child(channel_, body)
                                                      : listening_child(channel_, body);
  }
  Port port_to_peer() {
    if (std::get<1>(GetParam()) == Victim::connects) return connect(channel_.path(), {.port = options()});
    return listen(channel_.path(), {.port = options()}).accept();
  }
  static PortOptions options() { return {.ring_bytes = 8192, .wait = {.strategy = WaitStrategy::sleep}}; }

  Watchdog watchdog_{100s, "a sleeper that was moved"};
  TestChannel channel_;
  TestChannel honest_channel_;
  SharedPage<std::uint32_t> elsewhere_;
};

TEST_P(MovedSleeper, WakesWhenThePeerDiesAndOtherPeersDeathsAreNoticed) {
  ChildProcess honest = connecting_child(honest_channel_, [](Port& port) {
    (void)port.receive();
    ::raise(SIGKILL);
  });
  ChildProcess hostile = peer([&](Port&) {
    move_a_sleeper(&*elsewhere_);
    ::raise(SIGKILL);
  });
  ChildProcess victim([&] {
    if (!become(system())) return kCantFilter;
    Port honest_port = listen(honest_channel_.path()).accept();
    Port port = port_to_peer();
    EXPECT_EQ(sleeper().wait(port), Status::peer_died);
    EXPECT_EQ(honest_port.post_message({}), Status::ok);
    EXPECT_EQ(honest_port.receive().status(), Status::peer_died);
    return 0;
  });
  expect_success(victim);
}

TEST_P(MovedSleeper, HoldsUpNeitherCloseNorWhatClosedTellsIt) {
  Report moved;
  ChildProcess hostile = peer([&](Port&) {
    move_a_sleeper(&*elsewhere_);
    moved.say(1);
    for (;;) move_a_sleeper(&*elsewhere_);
  });
  ChildProcess victim([&] {
    if (!become(system())) return kCantFilter;
    Port port = port_to_peer();
    std::future<Status> ended = std::async(std::launch::async, [&] { return sleeper().wait(port); });
    EXPECT_EQ(moved.hear(), 1U);
    port.close();
    EXPECT_EQ(ended.get(), Status::closed);
    return 0;
  });
  expect_success(victim);
}

std::string case_name(const ::testing::TestParamInfo<MovedSleeper::ParamType>& tested) {
  const auto [sleeper, victim, system] = tested.param;
  return std::string(kSleepers[sleeper].name) + (victim == Victim::listens ? "AsListener" : "AsConnector") +
         (system == System::has_waitv ? "" : "WithoutFutexWaitv");
}

INSTANTIATE_TEST_SUITE_P(Port, MovedSleeper,
                         ::testing::Combine(::testing::Range<std::size_t>(0, std::size(kSleepers)),
                                            ::testing::Values(Victim::listens, Victim::connects),
                                            ::testing::Values(System::has_waitv, System::has_none)),
                         case_name);

class OnEverySystem : public ::testing::TestWithParam<System> {
 protected:
  Watchdog watchdog_{100s, "a sleeper that was moved"};
  TestChannel channel_;
  SharedPage<std::uint32_t> elsewhere_;
};

TEST_P(OnEverySystem, AMovedSleeperKeepsItsDeadline) {
  ChildProcess hostile = connecting_child(channel_, [&](Port&) {
    for (;;) move_a_sleeper(&*elsewhere_);
  });
  ChildProcess victim([&] {
    if (!become(GetParam())) return kCantFilter;
    Port port = listen(channel_.path()).accept();
    EXPECT_EQ(port.receive_for(300ms).status(), Status::timed_out);
    return 0;
  });
  expect_success(victim);
}

TEST_P(OnEverySystem, ASessionGoesOnWithTheNextPeerAfterItsSleeperWasMoved) {
  ChildProcess host([&] {
    if (!become(GetParam())) return kCantFilter;
    Port port = host_session(channel_.path());
    EXPECT_EQ(port.receive().status(), Status::ok);
    return 0;
  });
  ChildProcess hostile([&] {
    const Port port = join_session(channel_.path());
    move_a_sleeper(&*elsewhere_);
    ::raise(SIGKILL);
  });
  ASSERT_TRUE(hostile.wait_for(20s));
  ChildProcess next([&] {
    Port port = join_session(channel_.path());
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(), Status::ok);
  });
  expect_success(host);
}

INSTANTIATE_TEST_SUITE_P(FutexWaitv, OnEverySystem, ::testing::Values(System::has_waitv, System::has_none),
                         [](const auto& tested) {
                           return tested.param == System::has_waitv ? "IsThere" : "IsMissing";
                         });

TEST(WakeUpStorm, OfAHostilePeerMovesNoDeadline) {
  const Watchdog watchdog(100s, "waits that are woken without end");
  const TestChannel channel;
  ChildProcess hostile = connecting_child(channel, [](Port&) {
    for (;;) {
      for (void* const word : words_of_the_peers_sleepers()) {
        for (int i = 0; i < 1000; ++i) ::syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
      }
    }
  });
  const PortOptions options{.ring_bytes = 4096, .wait = {.strategy = WaitStrategy::sleep}};
  Port port = listen(channel.path(), {.port = options}).accept();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(port.receive_for(200ms).status(), Status::timed_out);
  const auto half = std::chrono::steady_clock::now();
  EXPECT_GE(half - start, 200ms);
  EXPECT_LT(half - start, 20s);
  EXPECT_GT(port.statistics().sleeps, 2U) << "the storm didn't reach the sleeper";
  while (port.try_post_message(std::as_bytes(std::span("fills the ring"))) == Status::ok) {
  }
  EXPECT_EQ(port.post_message_for({}, 200ms), Status::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - half, 20s);
}

}  // namespace
}  // namespace sluice::test
