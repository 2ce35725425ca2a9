#include "syscalls.hpp"

#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "child.hpp"
#include "clock.hpp"
#include "shared_memory.hpp"

namespace sluice::bench {
namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;  // with PTRACE_O_TRACESYSGOOD
constexpr std::chrono::microseconds kLookAgain{20};

void* as_argument(std::uintptr_t value) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): ptrace's arguments are declared so.
  return reinterpret_cast<void*>(value);
}

void seize(pid_t pid) {
  constexpr std::uintptr_t kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SEIZE, pid, nullptr, as_argument(kOptions)) != 0 ||
      ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) {
    throw std::system_error(errno, std::system_category(), "tracing a benchmark process");
  }
}

bool begins_call(pid_t thread) {
  __ptrace_syscall_info info{};
  return ptrace(PTRACE_GET_SYSCALL_INFO, thread, as_argument(sizeof info), &info) > 0 &&
         info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

// The signal to deliver when a stopped thread goes on: none for the stops that tracing itself makes.
std::uintptr_t signal_of(int status) {
  const auto stop = WSTOPSIG(status);
  const auto event = status >> 16;
  return stop == kSyscallStop || event != 0 ? 0 : static_cast<std::uintptr_t>(stop);
}

}  // namespace

void CountingWindow::await_attached() const noexcept {
  while (!attached_.load(std::memory_order_acquire)) cpu_pause();
}

std::uint64_t run_counted_pair(const Cores& cores, std::chrono::seconds deadline,
                               const std::function<void(Side, CountingWindow&)>& body) {
  const Shared<std::array<ErrorText, 2>> errors;
  const Shared<CountingWindow> window;
  const auto traced = [&](Side side) {
    window->await_attached();
    body(side, *window);
  };
  Child first(Side::first, cores.first, traced, (*errors)[0]);
  Child second(Side::second, cores.second, traced, (*errors)[1]);
  seize(first.pid());
  seize(second.pid());
  window->attach();

  std::uint64_t calls = 0;
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (first.running() || second.running()) {
    int status = 0;
    const auto thread = waitpid(-1, &status, __WALL | WNOHANG);
    if (thread < 0) throw std::system_error(errno, std::system_category(), "waitpid for a traced process");
    if (thread == 0) {
      if (std::chrono::steady_clock::now() > end) {
        throw std::runtime_error(fmt::format("no end within {} s", deadline.count()));
      }
      std::this_thread::sleep_for(kLookAgain);
      continue;
    }
    if (WIFSTOPPED(status)) {
      if (WSTOPSIG(status) == kSyscallStop && window->is_open() && begins_call(thread)) ++calls;
      ptrace(PTRACE_SYSCALL, thread, nullptr, as_argument(signal_of(status)));
    } else if (thread == first.pid()) {
      first.reaped(status);
    } else if (thread == second.pid()) {
      second.reaped(status);
    }
  }
  return calls;
}

}  // namespace sluice::bench
