// A thousand signals a second to every waiting thread: no wake-up is lost and no deadline missed.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <system_error>
#include <thread>

#include "sluice/ipc/port/port_pair.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

volatile std::sig_atomic_t storm_signals = 0;

/// While it lives, the thread that made it is interrupted every millisecond.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction action {};
    action.sa_handler = [](int) {
      storm_signals = storm_signals + 1;
    };  // without SA_RESTART: calls end in EINTR
    ::sigaction(SIGUSR1, &action, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0)
      throw std::system_error(errno, std::system_category(), "timer_create");
    const itimerspec millisecond{{0, 1'000'000}, {0, 1'000'000}};
    ::timer_settime(timer_, 0, &millisecond, nullptr);
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;
  ~SignalStorm() { ::timer_delete(timer_); }

 private:
  timer_t timer_{};
};

const PortOptions kSleepers{.ring_bytes = 4096, .wait = {.strategy = WaitStrategy::sleep}};

TEST(SignalStorms, LoseNoWakeUp) {
  const Watchdog watchdog(100s, "a ping-pong under signals");
  const TestChannel channel;
  ListenOptions options;
  options.port = kSleepers;
  Listener listener = listen(channel.path(), options);
  ChildProcess echo = connecting_child(
      channel,
      [](Port& port) {
        const SignalStorm storm;
        while (const Message message = port.receive()) {
          if (port.post_message(message.bytes()) != Status::ok) return;
        }
      },
      kSleepers);
  Port port = listener.accept();
  const SignalStorm storm;
  storm_signals = 0;
  std::uint32_t round = 0;
  // As many rounds as a good many signals need.
  for (; round < 2000 || storm_signals < 500; ++round) {
    ASSERT_EQ(port.post_message(std::as_bytes(std::span(&round, 1))), Status::ok);
    const Message answer = port.receive();
    ASSERT_TRUE(answer) << to_string(answer.status());
    ASSERT_EQ(std::memcmp(answer.bytes().data(), &round, sizeof round), 0);
  }
  port.close();
  const auto status = echo.wait_for(20s);
  EXPECT_TRUE(status && status->ok());
}

TEST(SignalStorms, MoveNoDeadline) {
  const Watchdog watchdog(60s, "deadlines under signals");
  auto [a, b] = make_port_pair(kSleepers, kSleepers);
  const SignalStorm storm;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(a.receive_for(100ms).status(), Status::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  while (a.try_post_message(std::as_bytes(std::span("fills the ring"))) == Status::ok) {
  }
  const auto full = std::chrono::steady_clock::now();
  EXPECT_EQ(a.post_message_for(std::as_bytes(std::span("fills the ring")), 100ms), Status::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - full, 100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - full, 10s);
}

}  // namespace
}  // namespace sluice::test
