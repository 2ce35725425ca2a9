#include "worker.hpp"

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>

#include "digest.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"

namespace demo {
namespace {

int exit_code(sluice::Status end) {
  return end == sluice::Status::closed ? 0 : 1;
}

// What this process takes over from its predecessor.
void tell(const sluice::SessionEvent& resumed, const sluice::Port& port) {
  const std::uint64_t answered = port.next_sequence();  // every message before this one
  fmt::print("    worker {}: {} messages come (again), from message {} on; {} of them were answered before\n",
             ::getpid(), resumed.last + 1 - resumed.first, resumed.first,
             std::max(answered, resumed.first) - resumed.first);
  std::fflush(stdout);
}

}  // namespace

int run_worker(const std::string& channel) {
  sluice::Port port = sluice::connect(channel);
  RunningDigest digest;
  for (;;) {
    sluice::Message record = port.receive();
    if (!record) return exit_code(record.status());
    const bool end_of_lap = record.bytes().empty();
    digest.update(record.bytes());
    record.release();
    if (const auto status = port.post_message(digest.so_far()); status != sluice::Status::ok)
      return exit_code(status);
    if (end_of_lap) digest.restart();
  }
}

int run_session_worker(const std::string& channel) {
  std::optional<sluice::SessionEvent> resumed;
  sluice::SessionOptions options;
  options.port.ring_bytes = kRingBytes;
  // Later, on the session's own thread, this process isn't resumed: it is killed, or it ends.
  options.on_state = [&](const sluice::SessionEvent& event) {
    if (event.state == sluice::SessionState::resumed) resumed = event;
  };
  sluice::Port port = sluice::join_session(channel, options);
  if (resumed) tell(*resumed, port);
  for (;;) {
    const sluice::Message record = port.receive();
    if (!record) return exit_code(record.status());
    if (record.sequence() < port.next_sequence()) continue;  // answered before
    if (const auto status = port.post_message(record.bytes()); status != sluice::Status::ok)
      return exit_code(status);
  }
}

WorkerProcess::WorkerProcess(std::string option, std::string channel) {
  std::string name = "demo";
  const std::array<char*, 4> words{name.data(), option.data(), channel.data(), nullptr};
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::system_category(), "forking the worker");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent) ::execv("/proc/self/exe", words.data());
  ::_exit(127);
}

WorkerProcess::~WorkerProcess() {
  if (reaped_) return;
  ::kill(pid_, SIGKILL);
  wait();
}

std::string WorkerProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return fmt::format("exit code {}", WEXITSTATUS(status));
  return "";
}

}  // namespace demo
