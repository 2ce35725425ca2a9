#include "sluice/ring/consumer.hpp"

#include <utility>

#include "announced_sleep.hpp"
#include "futex.hpp"
#include "sluice/ring/history.hpp"
#include "spin.hpp"

namespace sluice::ring {
namespace {

/// So many records between two waits mean that the producer streams.
constexpr Sequence kStreamingBurst = 16;

constexpr std::size_t kCacheLineBytes = 64;

/// Records of so many bytes are small: most of them lie in two lines.
constexpr Position kTwoLines = 2 * kCacheLineBytes;

}  // namespace

Consumer::Consumer(const OwnView& own, const PeerView& peer, const WaitOptions& wait,
                   const ConsumerStart& start) noexcept
    : own_(own.control),
      peer_(peer.control),
      data_(peer.data),
      mask_(peer.header.capacity - 1),
      max_payload_bytes_(ring::max_payload_bytes(peer.header.capacity, peer.header.replay_window)),
      read_(start.next.position),
      released_(start.released),
      sequence_(start.next.sequence),
      barrier_(own.control->release.barrier,
               light_barrier_possible(own.header.features, peer.header.features)),
      view_(peer),
      features_(own.header.features),
      replay_end_(start.replay_end),
      strategy_(wait.strategy),
      spin_window_(longest_spin(wait)),
      seen_tail_(read_),
      waited_{read_, sequence_} {}

void Consumer::rebind(const PeerView& peer) noexcept {
  if (gate_.forked()) return;
  view_ = peer;
  peer_ = peer.control;
  data_ = peer.data;
  barrier_.follow(light_barrier_possible(features_, peer.header.features));
  seen_tail_ = read_;  // a tail that was read while the old producer was being replaced doesn't count
  full_barrier();
  futex_wake(own_->release.released);
}

Status Consumer::refuse_header(std::uint64_t header) noexcept {
  if (failure_) return Status::broken;
  const std::uint64_t sequence = header >> 32U;
  const std::uint64_t expected_sequence = sequence_ & 0xffff'ffffU;
  const std::uint64_t low = header & 0xffff'ffffU;
  if ((low & kPublishedBit) == 0) {
    failure_ = {"a record header that isn't zero has the published bit", kPublishedBit, low};
  } else if (sequence != expected_sequence) {
    failure_ = {"records carry consecutive sequence numbers", expected_sequence, sequence};
  } else {
    failure_ = {"a record's payload fits the ring's largest", max_payload_bytes_, low & ~kPublishedBit};
  }
  return Status::broken;
}

Status Consumer::rewind(Sequence sequence) noexcept {
  if (gate_.forked()) return Status::forked;
  const Sequence first_unread = before(sequence_, replay_end_) ? replay_end_ : sequence_;
  if (before(first_unread, sequence)) return Status::would_block;
  HistoryReader history(view_);
  const Status status = history.seek(sequence);
  if (status == Status::broken && !failure_) {
    failure_ = {"the history's records carry consecutive sequence numbers", sequence,
                history.place().sequence};
  }
  if (status != Status::ok) return status;
  // What is older than the window may still be there, but the producer could overwrite it on the way.
  if (before(history.place().position, released_ - view_.header.replay_window)) return Status::overwritten;
  replay_end_ = first_unread;
  read_ = history.place().position;
  sequence_ = sequence;
  return Status::ok;
}

/// `poll_until(ready)` is the way of polling.
template <typename Poll>
Status Consumer::poll(Poll poll_until) noexcept {
  const Sequence records = sequence_ - waited_.sequence;
  const bool small = read_ - waited_.position <= records * kTwoLines;
  waited_ = {read_, sequence_};
  if (records >= kStreamingBurst) leave_other_side_alone(strategy_);
  return poll_until([this, small]() noexcept {
    // The second line of a small record comes along with the first, not after it.
    if (small) __builtin_prefetch(at(read_) + kCacheLineBytes);
    return record_ready();
  });
}

Status Consumer::wait_for_record(Deadline deadline) noexcept {
  if (gate_.forked()) return Status::forked;
  if (strategy_ == WaitStrategy::spin)
    return poll([&](auto ready) { return spin(gate_, deadline, 1, ready); });
  if (!std::exchange(has_polled_, false)) {
    const Status status = poll_before_sleep(deadline);
    if (status != Status::would_block || strategy_ == WaitStrategy::non_blocking) return status;
  }
  return timed_sleep(spin_window_, [&]() noexcept { return sleep_until_record(deadline); });
}

Status Consumer::poll_before_sleep(Deadline deadline) noexcept {
  return poll([&](auto ready) { return spin(spin_window_, gate_, deadline, 1, ready); });
}

bool Consumer::poll_for_record() noexcept {
  if (strategy_ == WaitStrategy::spin)
    return poll([&](auto ready) { return look_for_a_while(gate_, 1, ready); }) == Status::ok;
  has_polled_ = true;
  if (poll_before_sleep(kNoDeadline) != Status::ok) return false;
  has_polled_ = false;
  return true;
}

Status Consumer::sleep_until_record(Deadline deadline) noexcept {
  own_->consumer_wait.wait_position.store(read_, std::memory_order_relaxed);
  AnnouncedSleep announced(peer_->tail.barrier);  // [SLEEP-C] pairs with Producer::publish
  for (bool in_time = true;;) {
    const Status reason = gate_.reason();
    const Position tail =
        peer_->tail.tail.load(std::memory_order_acquire);  // [TAIL] pairs with Producer::publish
    if (record_ready()) return Status::ok;
    // The tail was read before the header, and is stored after it: it can be behind the records, never ahead.
    if (before(tail, seen_tail_) || before(read_, tail)) {
      if (!failure_) {
        failure_ = {before(tail, seen_tail_) ? "the producer's tail doesn't move backwards"
                                             : "the producer's tail isn't ahead of its records",
                    before(tail, seen_tail_) ? seen_tail_ : read_, tail};
      }
      return Status::broken;
    }
    seen_tail_ = tail;
    if (reason != Status::ok) return reason;
    if (!in_time) return Status::timed_out;
    sleep_count_.add_one();
    in_time = announced.sleep(gate_, peer_->tail.tail, static_cast<std::uint32_t>(tail), deadline);
  }
}

void Consumer::wake_producer() noexcept {
  wake_count_.add_one();
  barrier_.note_sleeper();
  futex_wake(own_->release.released);
}

}  // namespace sluice::ring
