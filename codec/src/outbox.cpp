#include "outbox.hpp"

#include <utility>

namespace sluice::codec {
namespace {

/// In the past: a call with this deadline doesn't wait.
constexpr Deadline kAtOnce{};

}  // namespace

Status Outbox::post_now(std::span<const std::byte> head, std::span<const std::byte> body, Deadline deadline) {
  if (!direct_) {
    if (!port_.is_open()) return Status::closed;
    if (kept_bytes() > kMuchKept) return Status::would_block;
    keep(head, body);
    return Status::ok;
  }
  if (!kept_.empty()) {
    const Status drained = drain_directly();
    if (drained != Status::ok) return drained;
  }
  const Status posted = port_.post_parts_until(head, body, deadline);
  return posted == Status::timed_out ? Status::would_block : posted;
}

void Outbox::keep(std::span<const std::byte> head, std::span<const std::byte> body) {
  std::vector<std::byte> frame;
  frame.reserve(head.size() + body.size());
  frame.insert(frame.end(), head.begin(), head.end());
  frame.insert(frame.end(), body.begin(), body.end());
  kept_bytes_.fetch_add(frame.size(), std::memory_order_relaxed);
  kept_.push_back(std::move(frame));
}

Status Outbox::drain_directly() {
  while (!kept_.empty()) {
    const Status posted = port_.post_parts_until(kept_.front(), {}, kAtOnce);
    if (posted == Status::timed_out || posted == Status::would_block) return Status::would_block;
    kept_bytes_.fetch_sub(kept_.front().size(), std::memory_order_relaxed);
    kept_.pop_front();
    if (posted != Status::ok && posted != Status::too_large) return posted;
  }
  return Status::ok;
}

Status Outbox::post(std::span<const std::byte> head, std::span<const std::byte> body) {
  const std::lock_guard lock(mutex_);
  const Status posted = post_now(head, body, kAtOnce);
  if (posted != Status::would_block) return posted;
  keep(head, body);
  return Status::ok;
}

Status Outbox::try_post(std::span<const std::byte> head, std::span<const std::byte> body) {
  const std::lock_guard lock(mutex_);
  return post_now(head, body, kAtOnce);
}

Status Outbox::post_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline) {
  const std::lock_guard lock(mutex_);
  return post_now(head, body, deadline);
}

Status Outbox::drain() {
  std::unique_lock lock(mutex_);
  if (direct_) return drain_directly();
  if (std::exchange(draining_, true)) return Status::ok;
  Status posted = Status::ok;
  while (posted == Status::ok && !kept_.empty()) {
    const std::vector<std::byte> frame = std::move(kept_.front());
    kept_.pop_front();
    lock.unlock();
    posted = port_.post_parts_until(frame, {}, kNoDeadline);
    lock.lock();
    kept_bytes_.fetch_sub(frame.size(), std::memory_order_relaxed);
    if (posted == Status::too_large) posted = Status::ok;
  }
  draining_ = false;
  return posted;
}

}  // namespace sluice::codec
