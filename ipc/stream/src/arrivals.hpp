// What has arrived of the peer's streams and has not been consumed: the receiving rules (ReceiveState), the
// blocks themselves, and the block that the consumer has in its hand. Does no I/O.
//
// A block waits either in place, in the port's memory (only the newest message can), or copied in the queue.
// The queue is bounded: by ReceiveState what blocks may be in it, and by kMaxUnreceivedEnds how many ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "arrival_queue.hpp"
#include "sluice/ipc/stream/receive_state.hpp"

namespace sluice::ipc {

/// So many streams may have ended, well or not, that nobody has received. Only streams without blocks can.
inline constexpr std::size_t kMaxUnreceivedEnds = 1024;

/// Thread-safety: none; StreamReader's lock guards it.
class Arrivals {
 public:
  using Kind = ArrivalQueue::Kind;
  using Verdict = ReceiveState::Verdict;

  Arrivals(const ReceiveLimits& limits, BlockId first_id) : state_(limits, first_id) {}

  // From the port. False: the peer's frame has no effect, or a bad one; a peer may do that a few times only.

  /// A block that stays where it lies if it is accepted.
  bool on_data_in_place(BlockId id, std::span<const std::byte> block) {
    const auto verdict = state_.on_data(id, block.size());
    if (verdict != Verdict::accept) [[unlikely]] {
      refuse_arriving(id, block.size(), verdict);
      return false;
    }
    in_place_ = block;
    return true;
  }
  bool on_data(BlockId id, std::span<const std::byte> block);
  /// END or ERROR.
  void on_end(const Frame& frame);
  /// More streams than are kept have ended: the peer broke a rule.
  bool too_many_ends() const noexcept { return queue_.ends() > kMaxUnreceivedEnds; }

  bool waits_in_place() const noexcept { return in_place_.has_value(); }
  /// The port's memory is about to be given back: copies the block that waits there.
  void keep_in_place_block();

  // To the consumer.

  bool queue_empty() const noexcept { return queue_.empty(); }
  bool something_waits() const noexcept { return in_place_ || !queue_.empty(); }
  bool block_waits() const noexcept {
    return in_place_ || (!queue_.empty() && queue_.first().kind == Kind::block);
  }

  /// Takes out what waits first. A block is in hand from then on; of an end, the bytes say why.
  Kind next(std::span<const std::byte>& bytes) {
    if (!in_place_) [[unlikely]]
      return next_queued(bytes);
    bytes = *std::exchange(in_place_, std::nullopt);
    take_in_hand(bytes.size(), true);
    return Kind::block;
  }

  bool in_hand() const noexcept { return in_hand_; }
  bool in_hand_in_place() const noexcept { return in_hand_ && in_hand_in_place_; }
  /// Nobody looks at the bytes of the block in hand any more.
  void leave_place() noexcept { in_hand_in_place_ = false; }
  std::uint64_t in_hand_bytes() const noexcept { return in_hand_bytes_; }
  /// The consumer is done with its block, which counts as consumed unless it was answered already: with a
  /// rejection of its stream. Whether an ACK is due at once.
  bool finish_hand() noexcept {
    in_hand_ = false;
    return !in_hand_answered_ && state_.consumed(in_hand_bytes_);
  }
  /// The id to acknowledge, if there is one; see ReceiveState.
  std::optional<BlockId> take_answer() noexcept { return state_.consumed_unanswered(); }
  std::optional<std::uint32_t> grant() const noexcept { return state_.grant(); }
  bool peer_may_send(std::uint64_t bytes) const noexcept { return state_.peer_may_send(bytes); }

  // The end of a stream from our side.

  /// Drops the stream that is being received, or that would be next: the block in hand, unless it was
  /// finished, and what waits. Later blocks of it are rejected with `reason`.
  void refuse(std::string_view reason);
  bool refusing() const noexcept { return state_.refusing(); }

  bool rejection_due() const noexcept { return rejection_.has_value(); }
  /// The block to reject, and all before it, with refusal_json().
  std::optional<BlockId> take_rejection() noexcept { return std::exchange(rejection_, std::nullopt); }
  /// It couldn't be posted, and is due again, unless a later one is.
  void return_rejection(BlockId id) noexcept {
    if (!rejection_) rejection_ = id;
  }
  const std::string& refusal_json() const noexcept { return refusal_json_; }

 private:
  void take_in_hand(std::uint64_t bytes, bool in_place) noexcept {
    in_hand_ = true;
    in_hand_in_place_ = in_place;
    in_hand_answered_ = false;
    in_hand_bytes_ = bytes;
  }
  Kind next_queued(std::span<const std::byte>& bytes);
  void refuse_arriving(BlockId id, std::uint64_t bytes, Verdict verdict);

  ReceiveState state_;
  std::optional<std::span<const std::byte>> in_place_;  // the message read last; then the queue is empty
  ArrivalQueue queue_;
  bool in_hand_ = false;
  bool in_hand_in_place_ = false;
  bool in_hand_answered_ = false;
  std::uint64_t in_hand_bytes_ = 0;
  std::optional<BlockId> rejection_;  // to be posted
  std::string refusal_json_;
};

}  // namespace sluice::ipc
