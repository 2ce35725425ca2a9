// Under load a message costs no system call, and an idle port no CPU.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <thread>

#include "kernel_counts.hpp"
#include "sluice/base/detail/cpu_pause.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

std::atomic<int> system_calls{0};

/// From now on every system call of this thread, but leaving the process and the handler, is counted instead
/// of made. False where the kernel doesn't allow that.
bool count_system_calls() {
  struct sigaction action {};
  action.sa_sigaction = [](int, siginfo_t*, void*) { system_calls.fetch_add(1); };
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
  std::array<sock_filter, 5> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

constexpr int kNotAllowed = 77;
constexpr int kBroken = 78;
constexpr std::uint32_t kMessages = 200'000;

/// Streams through a port pair, both threads under count_system_calls(); returns how many calls there were,
/// 76 at most.
int calls_while_streaming() {
  const PortOptions options{.ring_bytes = 1 << 16, .wait = {.strategy = WaitStrategy::spin}};
  auto [a, b] = make_port_pair(options, options);
  // Leaked: a thread whose system calls are only counted can't end.
  new std::thread([&port = a] {
    if (!count_system_calls()) ::_exit(kNotAllowed);
    for (std::uint32_t i = 0; i < kMessages; ++i) {
      if (port.post_message(std::as_bytes(std::span(&i, 1))) != Status::ok) ::_exit(kBroken);
    }
    for (;;) base::cpu_pause();
  });
  // The first message, before the calls count: the other thread is there, and symbols are bound.
  if (!b.receive() || !count_system_calls()) ::_exit(kNotAllowed);
  for (std::uint32_t i = 1; i < kMessages; ++i) {
    if (!b.receive()) ::_exit(kBroken);
  }
  ::_exit(std::min(system_calls.load(), 76));
}

TEST(Load, CostsNoSystemCallAMessage) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer makes system calls of its own";
  const Watchdog watchdog(100s, "counting system calls");
  ChildProcess child([] { return calls_while_streaming(); });
  const auto status = child.wait_for(60s);
  ASSERT_TRUE(status);
  if (status->code == kNotAllowed) GTEST_SKIP() << "needs the right to filter its own system calls (seccomp)";
  EXPECT_EQ(status->code, 0) << "system calls for " << kMessages << " messages";
}

/// The default strategy sleeps now and then when the other side isn't running; each sleep covers many
/// messages.
TEST(Load, CostsFewSleepsAndWakeUpsUnderTheDefaultStrategy) {
  const Watchdog watchdog(100s, "streaming under the default strategy");
  auto [a, b] = make_port_pair();
  std::thread sender([&port = a] {
    for (std::uint32_t i = 0; i < kMessages; ++i)
      EXPECT_EQ(port.post_message(std::as_bytes(std::span(&i, 1))), Status::ok);
  });
  for (std::uint32_t i = 0; i < kMessages; ++i) ASSERT_TRUE(b.receive());
  sender.join();
  EXPECT_LT(b.statistics().sleeps, kMessages / 10);
  EXPECT_LT(a.statistics().wakes_of_consumer, kMessages / 10);
  EXPECT_LT(b.statistics().wakes_of_producer, kMessages / 10);
}

// CPU time, which no load of the machine falsifies; the second is the span that is looked at.
TEST(Idleness, CostsNoCpu) {
  auto [a, b] = make_port_pair();
  std::atomic<int> received = 0;
  for (Port* port : {&a, &b}) {
    port->on_message([&](std::span<const std::byte>) { ++received; });
    port->start();
    ASSERT_EQ((port == &a ? b : a).post_message({}), Status::ok);
  }
  while (received < 2) std::this_thread::yield();
  std::this_thread::sleep_for(50ms);  // until both have spun and gone to sleep
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(1s);
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 100);
}

// The kernel's own count: nothing looks up from time to time. (Without futex_waitv, ten times a second.)
TEST(Idleness, WakesNoThread) {
  if (::syscall(449, nullptr, 0, 0, nullptr, 0) != 0 && errno == ENOSYS)
    GTEST_SKIP() << "this system has no futex_waitv, so sleeps are cut into slices";
  const TestChannel channel;
  ChildProcess peer = connecting_child(channel, [](Port&) { ::pause(); });
  Port port = listen(channel.path(), {.port = {.ring_bytes = 4096}}).accept();
  port.on_message([](std::span<const std::byte>) {});
  port.start();
  std::thread sender([&] {
    Status status = Status::ok;
    while (status == Status::ok) status = port.post_message(std::as_bytes(std::span("fills the ring")));
  });
  std::this_thread::sleep_for(100ms);  // until all have gone to sleep: delivery, sender, watcher
  const std::uint64_t before = sleeps_of_other_threads();
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(sleeps_of_other_threads(), before);
  port.close();
  sender.join();
}

}  // namespace
}  // namespace sluice::test
