// A process in which one system call fails, whichever library makes it: the kernel is asked to leave the call
// out, and to return an errno in its place. By ptrace, so it works for programs and under sanitizers, too.
//
//   const FailedRun run = run_with_failing_call([] { begin_failing(); work(); end_failing(); }, 12, ENOMEM);
//   if (!run.happened) return;  // there are no 13 calls that can fail so
#pragma once

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <string>

namespace sluice::test {

/// How such a process ended.
struct FailedRun {
  bool happened = false;     ///< whether there was such a call
  bool hung = false;         ///< killed when its time was over
  long call = -1;            ///< the number of the call
  int status = 0;            ///< as of waitpid(2)
  std::string text() const;  ///< all that in words
  bool exited_with(int code) const { return !hung && WIFEXITED(status) && WEXITSTATUS(status) == code; }
};

/// In the process that is run, on its first thread: from here on calls are counted, on every thread. A
/// program that it becomes by exec is counted, too.
void begin_failing();

/// In the process that is run, on its first thread: from here on nothing fails.
void end_failing();

/// Runs `body` in a process of its own, in which the call with number `nth`, counted from 0 among those that
/// can fail with `code`, does so. Which those are: failing_system_call.cpp. Kills it when `time` is over.
FailedRun run_with_failing_call(const std::function<int()>& body, std::uint64_t nth, int code,
                                std::chrono::seconds time = std::chrono::seconds(30));

}  // namespace sluice::test
