#include "sluice/ipc/send_state.hpp"

namespace sluice::stream {

bool SendState::may_send(std::uint64_t bytes) const noexcept {
  if (in_flight_.empty()) return true;
  if (in_flight_.size() >= kMaxBlocksInFlight || bytes_in_flight_ > window_) return false;
  return window_ != 0 && bytes <= window_ - bytes_in_flight_;
}

BlockId SendState::begin_block(std::uint64_t bytes) {
  in_flight_.push_back(bytes);
  bytes_in_flight_ += bytes;
  bytes_sent_ += bytes;
  return next_++;
}

SendState::AckEffect SendState::on_ack(BlockId id, const Answer& answer) noexcept {
  const BlockId ahead = id - oldest_;  // modulo 2^32, like the ids
  if (ahead >= in_flight_.size()) {
    // Answered before: 1 to blocks_answered_ behind the oldest unanswered one. Half the range is enough to
    // look back.
    const BlockId behind = oldest_ - id;
    const bool known = behind != 0 && behind <= blocks_answered_ && behind < (1U << 31U);
    return known ? AckEffect::stale : AckEffect::never_sent;
  }
  for (BlockId i = 0; i <= ahead; ++i) {
    const std::uint64_t bytes = in_flight_.front();
    in_flight_.pop_front();
    bytes_in_flight_ -= bytes;
    // A rejection says nothing good of the blocks before it either: each was answered as rejected.
    if (answer.handled) bytes_acknowledged_ += bytes;
  }
  oldest_ = id + 1;
  blocks_answered_ += ahead + 1ULL;
  if (!answer.handled) return AckEffect::rejected;
  window_ = answer.window.value_or(0);
  return AckEffect::advanced;
}

}  // namespace sluice::stream
