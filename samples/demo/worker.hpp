// The second process of the demo: this program, started with a hidden option.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace demo {

inline constexpr std::uint64_t kRingBytes = 4U << 20U;

/// --worker: connects to `channel`, and answers every record with the SHA-256 of the stream so far. An empty
/// record ends a lap: its answer is the digest of the lap, and the next record starts a new one. Returns the
/// exit code.
int run_worker(const std::string& channel);

/// --session-worker: joins the session `channel` and sends every record back. It isn't sent twice, though
/// this process be killed and started again: an answer has the number of its record. Returns the exit code.
int run_session_worker(const std::string& channel);

/// Owns a worker's process: killed and reaped when destroyed.
class WorkerProcess {
 public:
  WorkerProcess(std::string option, std::string channel);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess();

  pid_t pid() const noexcept { return pid_; }
  /// Waits for the end of the process. "": it ended well; else how it ended.
  std::string wait();

 private:
  pid_t pid_ = -1;
  bool reaped_ = false;
};

}  // namespace demo
