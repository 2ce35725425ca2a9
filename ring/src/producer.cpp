#include "sluice/ring/producer.hpp"

#include <chrono>
#include <thread>

#include "announced_sleep.hpp"
#include "futex.hpp"
#include "spin.hpp"

namespace sluice::ring {
namespace {

/// Between two looks at the consumer's released position: that line is written at every release.
constexpr unsigned kPausesBetweenLooksForRoom = 8;

}  // namespace

Producer::Producer(const OwnView& own, const PeerView& peer, const WaitOptions& wait) noexcept
    : own_(own.control),
      peer_(peer.control),
      data_(own.data),
      mask_(own.header.capacity - 1),
      max_payload_bytes_(ring::max_payload_bytes(own.header.capacity, own.header.replay_window)),
      tail_(own.header.first_position),
      tail_sequence_(own.header.first_sequence),
      limit_(tail_),
      post_end_(tail_),
      cleared_(tail_),
      barrier_(own.control->tail.barrier, light_barrier_possible(own.header.features, peer.header.features)),
      light_use_(register_barrier_target()),
      strategy_(wait.strategy),
      spin_window_(longest_spin(wait)),
      capacity_(own.header.capacity),
      kept_bytes_(own.header.replay_window + mark_step(capacity_)),
      features_(own.header.features),
      released_(tail_) {
  note_history();
}

/// Notes the boundaries among the records that the ring holds already, if it continues another's.
void Producer::note_history() noexcept {
  // Relaxed: our own words.
  Mark place{own_->history.oldest.load(std::memory_order_relaxed),
             own_->history.oldest_sequence.load(std::memory_order_relaxed)};
  released_ = place.position;  // a lower bound until the consumer's word is read
  marks_[0] = place;
  end_mark_ = 1;
  while (before(place.position, tail_)) {
    const std::uint64_t bytes =
        word_at(at(place.position)).load(std::memory_order_relaxed) & kPayloadBytesMask;
    place = {place.position + record_bytes(bytes), place.sequence + 1};
    note_mark(place);
  }
}

void Producer::rebind(const PeerView& peer) noexcept {
  if (gate_.forked()) return;
  peer_ = peer.control;
  barrier_.follow(light_barrier_possible(features_, peer.header.features));
  full_barrier();
  futex_wake(own_->tail.tail);
}

Status Producer::append_and_publish(std::span<const std::byte> head,
                                    std::span<const std::byte> body) noexcept {
  const std::uint64_t bytes = head.size() + body.size();
  {
    const BatchUse use(*this);
    if (const Status status = look_for_room(bytes); status != Status::ok) return status;
    std::byte* const record = at(this->head());
    copy_payload(record + kRecordHeaderBytes, head, body);
    add_to_batch(record, bytes);
  }
  publish();
  return Status::ok;
}

void Producer::publish_last() noexcept {
  sleeper_barrier(light_use_);                           // pairs with the barrier in BatchUse
  while (batch_in_use_.load(std::memory_order_acquire))  // pairs with the end of the use
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  if (batch_records_ == 0 || gate_.forked()) return;
  // What follows writes to the ring only: the sending thread may still look at the rest.
  const Position end = head();
  word_at(at(end)).store(0, std::memory_order_relaxed);                        // as in clear_behind
  word_at(at(tail_)).store(first_header_, std::memory_order_release);          // [PUBLISH]
  own_->tail.tail_sequence.store(next_sequence(), std::memory_order_relaxed);  // as in publish_records
  own_->tail.tail.store(end, std::memory_order_release);                       // [TAIL]
  full_barrier();
  wake_count_.add_one();
  futex_wake(own_->tail.tail);
}

Status Producer::make_room(Position needed) noexcept {
  note_mark({head(), next_sequence()});
  if (before(released_ - kept_bytes_ + capacity_, needed)) {
    if (const Status status = refresh_released(); status != Status::ok) return status;
  }
  const Position room_end = released_ - kept_bytes_ + capacity_;
  if (before(room_end, needed)) return Status::would_block;
  // Up to the next mark, so that the first record boundary behind it comes by here; one record may pass it.
  Position limit = marks_[(end_mark_ - 1) % marks_.size()].position + mark_step(capacity_);
  if (before(limit, needed)) limit = needed;
  if (before(room_end, limit)) limit = room_end;
  drop_history_before(limit - capacity_);
  limit_ = limit;
  if (batch_records_ == 0) post_end_ = limit;
  return Status::ok;
}

void Producer::note_mark(Mark mark) noexcept {
  const Mark& newest = marks_[(end_mark_ - 1) % marks_.size()];
  if (mark.position - newest.position < mark_step(capacity_)) return;
  marks_[end_mark_ % marks_.size()] = mark;
  ++end_mark_;
}

void Producer::drop_history_before(Position position) noexcept {
  const std::uint64_t kept = first_mark_;
  while (before(marks_[first_mark_ % marks_.size()].position, position)) ++first_mark_;
  if (first_mark_ == kept) return;
  const Mark& oldest = marks_[first_mark_ % marks_.size()];
  // Relaxed: oldest's release orders it.
  own_->history.oldest_sequence.store(oldest.sequence, std::memory_order_relaxed);
  // [OLDEST] release: the record there is visible to who begins with it; and before the bytes are reused.
  own_->history.oldest.store(oldest.position, std::memory_order_release);
  release_barrier();
}

Status Producer::refresh_released() noexcept {
  const Position released =
      peer_->release.released.load(std::memory_order_acquire);  // [RELEASE] pairs with release()
  // Looked at after the position: once it is set, a consumer that is being replaced has no say any more.
  if (gate_.interrupted()) return Status::interrupted;  // [FENCE] pairs with the keeper's interrupt()
  const char* rule = nullptr;
  if (released % kRecordAlign != 0) rule = "the consumer's released position is a multiple of 8";
  if (before(released, released_)) rule = "the consumer's released position doesn't move backwards";
  // Once the gate is raised, publish_last() may have published the batch.
  if (before(gate_.open() ? tail_ : head(), released))
    rule = "the consumer's released position isn't ahead of the tail";
  if (rule != nullptr) {
    if (!failure_) failure_ = {rule, released_, released};
    return Status::broken;
  }
  released_ = released;
  return Status::ok;
}

Status Producer::wait_for_room(std::uint64_t bytes, Deadline deadline) noexcept {
  if (gate_.forked()) return Status::forked;
  if (bytes > max_payload_bytes_) return Status::too_large;
  if (claimed_ != 0) return Status::misuse;
  publish();
  // A producer that looked for the room of one record would look again for the next.
  leave_other_side_alone(strategy_);
  const Position needed = tail_ + record_bytes(bytes) + kRecordHeaderBytes;
  return wait_until_released(needed - capacity_ + kept_bytes_, deadline);
}

Status Producer::wait_until_consumed(Deadline deadline) noexcept {
  if (gate_.forked()) return Status::forked;
  publish();
  return wait_until_released(head(), deadline);
}

Status Producer::wait_until_released(Position target, Deadline deadline) noexcept {
  Status broken = Status::ok;
  const auto ready = [&]() noexcept {
    broken = refresh_released();
    return broken != Status::ok || !before(released_, target);
  };
  const Status status = strategy_ == WaitStrategy::spin
                            ? spin(gate_, deadline, kPausesBetweenLooksForRoom, ready)
                            : spin(spin_window_, gate_, deadline, kPausesBetweenLooksForRoom, ready);
  if (broken != Status::ok) return broken;
  if (status != Status::would_block || strategy_ == WaitStrategy::non_blocking) return status;
  return timed_sleep(spin_window_, [&]() noexcept { return sleep_until_released(target, deadline); });
}

Status Producer::sleep_until_released(Position target, Deadline deadline) noexcept {
  // The last position that does not yet satisfy us: passing it is worth a wake-up.
  own_->producer_wait.wait_position.store(target - kRecordAlign, std::memory_order_relaxed);
  AnnouncedSleep announced(peer_->release.barrier);  // [SLEEP-P] pairs with Consumer::release
  for (bool in_time = true;;) {
    const Status reason = gate_.reason();
    if (const Status status = refresh_released(); status != Status::ok) return status;
    if (!before(released_, target)) return Status::ok;
    if (reason != Status::ok) return reason;
    if (!in_time) return Status::timed_out;
    in_time =
        announced.sleep(gate_, peer_->release.released, static_cast<std::uint32_t>(released_), deadline);
  }
}

void Producer::mark_closed() noexcept {
  if (gate_.forked()) return;
  own_->producer_wait.closed.store(
      1, std::memory_order_release);  // [CLOSE] pairs with Consumer::producer_closed
}

void Producer::wake_consumer() noexcept {
  wake_count_.add_one();
  barrier_.note_sleeper();
  futex_wake(own_->tail.tail);
}

}  // namespace sluice::ring
