#include "worker.hpp"

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "running_digest.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"

namespace demo {

int run_worker(const std::string& channel) noexcept {
  try {
    sluice::Port port = sluice::connect(channel);
    RunningDigest digest;
    for (;;) {
      sluice::Message record = port.receive();
      if (!record) return record.status() == sluice::Status::closed ? 0 : 1;
      const bool end_of_lap = record.bytes().empty();
      digest.update(record.bytes());
      record.release();
      if (port.post_message(digest.so_far()) != sluice::Status::ok) return 1;
      if (end_of_lap) digest.restart();
    }
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "demo worker: %s\n", failure.what());
    return 1;
  }
}

template <class Work>
void WorkerProcess::start(Work work) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) sluice::throw_errno("forking the worker");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::_exit(::getppid() == parent ? work() : 1);
}

WorkerProcess::WorkerProcess(const std::string& channel) {
  start([&] { return run_worker(channel); });
}

WorkerProcess::WorkerProcess(WorkerProgram program) {
  std::string name = "demo";
  const std::array<char*, 4> words{name.data(), program.option.data(), program.value.data(), nullptr};
  start([&] {
    ::execv("/proc/self/exe", words.data());
    return 127;
  });
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
