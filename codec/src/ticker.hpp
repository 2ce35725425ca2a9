// What a peer has to do at some time, without anything coming from the other side: streams to be looked at again, and
// frames to be sent that didn't fit into the port.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "served_stream.hpp"
#include "sluice/base/deadline.hpp"

namespace sluice::codec {

/// Without run_by_itself() somebody has to ask for what is due. With it, a thread that is made when there is something
/// to do for the first time does. Thread-safety: any thread.
class Ticker {
 public:
  using Due = std::vector<std::shared_ptr<ServedStream>>;

  Ticker() = default;
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  ~Ticker() { stop(); }

  /// `tick()` is called on the thread, whenever something is due.
  void run_by_itself(std::function<void()> tick);
  void stop() noexcept;

  void add(const std::shared_ptr<ServedStream>& stream, Deadline when);
  void remove(const ServedStream& stream) noexcept;
  /// Frames wait to be sent: tick() is called soon.
  void drain_at(Deadline when);

  /// Whether anything is due at some time.
  bool may_be_due() const noexcept { return busy_.load(std::memory_order_relaxed); }
  bool runs_by_itself() const noexcept;
  /// When the next thing is due; kNoDeadline if nothing is.
  Deadline next() const;
  /// Takes out the streams that are due.
  Due take(Deadline now);

 private:
  void changed(std::unique_lock<std::mutex> lock);
  void run();
  Deadline next_locked() const;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::function<void()> tick_;
  std::thread thread_;
  bool stopping_ = false;
  // Whether something is due; written under the lock. Relaxed: a runner that looks a moment too early finds it when it
  // looks next, and publishes nothing.
  std::atomic<bool> busy_{false};
  Deadline drain_ = kNoDeadline;
  struct Entry {
    std::shared_ptr<ServedStream> stream;
    Deadline when;
  };
  std::unordered_map<const ServedStream*, Entry> streams_;
};

}  // namespace sluice::codec
