#include "ticker.hpp"

#include <algorithm>
#include <chrono>

namespace sluice::codec {

void Ticker::run_by_itself(std::function<void()> tick) {
  std::unique_lock lock(mutex_);
  tick_ = std::move(tick);
  if (next_locked() != kNoDeadline) changed(std::move(lock));
}

void Ticker::stop() noexcept {
  std::thread ended;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ended.swap(thread_);
    streams_.clear();
  }
  changed_.notify_all();
  if (!ended.joinable()) return;
  if (ended.get_id() == std::this_thread::get_id()) {
    ended.detach();
  } else {
    ended.join();
  }
}

void Ticker::add(const std::shared_ptr<ServedStream>& stream, Deadline when) {
  std::unique_lock lock(mutex_);
  const auto [at, added] = streams_.try_emplace(stream.get(), Entry{stream, when});
  if (!added) at->second.when = std::min(at->second.when, when);
  changed(std::move(lock));
}

void Ticker::remove(const ServedStream& stream) noexcept {
  const std::lock_guard lock(mutex_);
  streams_.erase(&stream);
}

void Ticker::drain_at(Deadline when) {
  std::unique_lock lock(mutex_);
  drain_ = std::min(drain_, when);
  changed(std::move(lock));
}

void Ticker::changed(std::unique_lock<std::mutex> lock) {
  busy_.store(true, std::memory_order_relaxed);
  if (!tick_ || stopping_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  lock.unlock();
  changed_.notify_one();
}

Deadline Ticker::next_locked() const {
  Deadline next = drain_;
  for (const auto& [stream, entry] : streams_) next = std::min(next, entry.when);
  return next;
}

bool Ticker::runs_by_itself() const noexcept {
  const std::lock_guard lock(mutex_);
  return tick_ != nullptr;
}

Deadline Ticker::next() const {
  const std::lock_guard lock(mutex_);
  return next_locked();
}

Ticker::Due Ticker::take(Deadline now) {
  const std::lock_guard lock(mutex_);
  Due due;
  std::erase_if(streams_, [&](const auto& entry) {
    if (entry.second.when > now) return false;
    due.push_back(entry.second.stream);
    return true;
  });
  if (drain_ <= now) drain_ = kNoDeadline;
  busy_.store(next_locked() != kNoDeadline, std::memory_order_relaxed);
  return due;
}

void Ticker::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Deadline next = next_locked();
    if (std::chrono::steady_clock::now() < next) {
      changed_.wait_until(lock, next);
      continue;
    }
    lock.unlock();
    tick_();
    lock.lock();
  }
}

}  // namespace sluice::codec
