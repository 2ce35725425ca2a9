// The second process of the demo.
#pragma once

#include <sys/types.h>

#include <string>

namespace demo {

/// What the worker does: connects to `channel`, and answers every record with the SHA-256 of the stream so
/// far. An empty record ends a lap: its answer is the digest of the lap, and the next record starts a new
/// one. Returns the exit code.
int run_worker(const std::string& channel) noexcept;

/// This program, run anew with these arguments.
struct WorkerProgram {
  std::string option;
  std::string value;
};

/// Owns the worker's process: forked when made, killed and reaped when destroyed.
class WorkerProcess {
 public:
  /// Runs run_worker(). Only while this process has one thread.
  explicit WorkerProcess(const std::string& channel);
  /// Runs a program: at any time.
  explicit WorkerProcess(WorkerProgram program);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess();

  pid_t pid() const noexcept { return pid_; }

  /// Waits for the end of the process. "": it ended well; else how it ended.
  std::string wait();

 private:
  /// Forks; the child runs `work`, which may do only what is allowed after a fork, and ends with its result.
  template <class Work>
  void start(Work work);

  pid_t pid_ = -1;
  bool reaped_ = false;
};

}  // namespace demo
