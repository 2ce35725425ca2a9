// Waiting for what another thread does, unless that waits for us.
#pragma once

#include <thread>

namespace sluice::ipc {

/// This thread waits for another one, which is inside a handler, for as long as this object lives. A thread
/// waits so for one other at a time.
class WaitForThread {
 public:
  explicit WaitForThread(std::thread::id other);
  WaitForThread(const WaitForThread&) = delete;
  WaitForThread& operator=(const WaitForThread&) = delete;
  ~WaitForThread();

  /// False if the other thread waits for this one in the same way, itself or through others: then neither
  /// would ever go on, and this one must not wait.
  bool will_end() const noexcept { return will_end_; }

 private:
  bool will_end_;
};

}  // namespace sluice::ipc
