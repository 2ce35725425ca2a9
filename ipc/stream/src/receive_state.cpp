#include "sluice/ipc/stream/receive_state.hpp"

#include <utility>

namespace sluice::ipc {

ReceiveState::Verdict ReceiveState::on_end(BlockId id) noexcept {
  const bool right_count = id == arrived_;
  const Verdict verdict = on_error();
  return verdict == Verdict::accept && !right_count ? Verdict::wrong_count : verdict;
}

ReceiveState::Verdict ReceiveState::on_error() noexcept {
  arrived_ = 0;
  stream_open_ = false;
  granted_ = false;
  if (!std::exchange(refusing_, false)) return Verdict::accept;
  consumed_ = 0;
  return Verdict::refused;
}

std::optional<BlockId> ReceiveState::consumed_unanswered() noexcept {
  if (consumed_blocks_ == 0) return std::nullopt;
  forget_answered(std::exchange(consumed_blocks_, 0), std::exchange(consumed_bytes_, 0));
  granted_ = stream_open_;
  return consumed_ - 1;
}

std::optional<std::uint32_t> ReceiveState::grant() const noexcept {
  if (limits_.window_bytes == 0) return std::nullopt;
  return limits_.window_bytes;
}

std::optional<BlockId> ReceiveState::refuse(std::uint64_t blocks, std::uint64_t bytes,
                                            bool end_dropped) noexcept {
  forget_answered(blocks, bytes);
  consumed_ += static_cast<BlockId>(blocks);
  const BlockId last = consumed_ - 1;
  refusing_ = !end_dropped && stream_open_;
  if (end_dropped) consumed_ = 0;
  return blocks != 0 ? std::optional(last) : std::nullopt;
}

void ReceiveState::forget_answered(std::uint64_t blocks, std::uint64_t bytes) noexcept {
  unanswered_blocks_ -= blocks;
  unanswered_bytes_ -= bytes;
  first_unanswered_bytes_ = 0;  // of those that remain no size is known; they are within the window
}

}  // namespace sluice::ipc
