// The frames that a peer sends, in order, and those that don't fit into the port just now.
//
// A port in shared memory takes a message at once or not at all, so whoever has a frame posts it. A port over a pipe
// or socket may take half of one and then wait for its peer for long. There the frames are kept, and one thread at a
// time drains them: nobody else ever waits for that peer.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <mutex>
#include <span>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/status.hpp"
#include "sluice/ipc/port/any_port.hpp"

namespace sluice::codec {

/// Thread-safety: any thread. Statuses: ok, too_large, or why the port has ended.
class Outbox {
 public:
  explicit Outbox(AnyPort& port) : port_(port), direct_(port.polls_cheaply()) {}

  /// Posts the frame `head` + `body`, or keeps it until there is room. Never waits.
  Status post(std::span<const std::byte> head, std::span<const std::byte> body = {});
  /// The same, but would_block instead of keeping it. (On a pipe or socket it is kept, unless much is.)
  Status try_post(std::span<const std::byte> head, std::span<const std::byte> body);
  /// The same, but waits for room until the deadline: would_block. Others wait meanwhile, so it should be near.
  Status post_until(std::span<const std::byte> head, std::span<const std::byte> body, Deadline deadline);
  /// Posts what was kept, as far as there is room. On a pipe or socket this may wait for the peer.
  Status drain();

  std::size_t kept_bytes() const noexcept { return kept_bytes_.load(std::memory_order_relaxed); }
  /// Whether drain() may wait for the peer, so that a thread of its own should call it.
  bool drains_slowly() const noexcept { return !direct_; }

 private:
  /// On a pipe or socket, what is kept beyond this makes post_until() wait, and try_post() fail.
  static constexpr std::size_t kMuchKept = std::size_t{1} << 20;

  // Each with mutex_ held.
  Status post_now(std::span<const std::byte> head, std::span<const std::byte> body, Deadline deadline);
  void keep(std::span<const std::byte> head, std::span<const std::byte> body);
  Status drain_directly();

  AnyPort& port_;
  const bool direct_;
  mutable std::mutex mutex_;  // guards everything below, and posting to a direct port
  std::deque<std::vector<std::byte>> kept_;
  // Written under the lock, read by anybody. Relaxed: who reads an old number looks again later.
  std::atomic<std::size_t> kept_bytes_{0};
  bool draining_ = false;  // a thread posts the first of kept_
};

}  // namespace sluice::codec
