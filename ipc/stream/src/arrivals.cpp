#include "arrivals.hpp"

namespace sluice::ipc {

bool Arrivals::on_data(BlockId id, std::span<const std::byte> block) {
  const auto verdict = state_.on_data(id, block.size());
  if (verdict == Verdict::accept) {
    queue_.push(Kind::block, block);
  } else {
    refuse_arriving(id, block.size(), verdict);
  }
  return verdict == Verdict::accept;
}

void Arrivals::keep_in_place_block() {
  queue_.push(Kind::block, *std::exchange(in_place_, std::nullopt));
}

void Arrivals::on_end(const Frame& frame) {
  const bool is_error = frame.type == FrameType::error;
  const BlockId came = state_.expected_id();
  const Verdict verdict = is_error ? state_.on_error() : state_.on_end(frame.id);
  if (verdict == Verdict::refused) return;
  if (is_error) {
    queue_.push(Kind::error, text_of_peer(frame.payload));
  } else if (verdict == Verdict::wrong_count) {
    queue_.push(Kind::violation, "the peer's END counts " + std::to_string(frame.id) + " blocks, expected " +
                                     std::to_string(came));
  } else {
    queue_.push(Kind::end, {});
  }
}

/// A block that nobody wants. If it breaks a rule, what had arrived of its stream is dropped, too, and the
/// receive that would have got it fails.
void Arrivals::refuse_arriving(BlockId id, std::uint64_t bytes, Verdict verdict) {
  rejection_ = id;  // answers every block before it, too
  if (verdict == Verdict::refused) return;
  const std::string text = verdict == Verdict::wrong_id
                               ? "the peer sent block " + std::to_string(id) + ", expected block " +
                                     std::to_string(state_.expected_id())
                               : "the peer sent more than it may: block " + std::to_string(id) + " of " +
                                     std::to_string(bytes) + " bytes, expected at most " +
                                     std::to_string(state_.allowed_bytes()) + " bytes without an answer";
  BlockCount dropped = queue_.drop_last_blocks();
  if (queue_.empty() && in_hand_ && !in_hand_answered_) {
    dropped += in_hand_bytes_;
    in_hand_answered_ = true;
  }
  (void)state_.consumed_unanswered();
  (void)state_.refuse(dropped.blocks, dropped.bytes, false);
  refusal_json_ = to_json_string(text);
  queue_.push(Kind::violation, text);
}

Arrivals::Kind Arrivals::next_queued(std::span<const std::byte>& bytes) {
  const Kind kind = queue_.take(bytes);
  if (kind == Kind::block) {
    take_in_hand(bytes.size(), false);
  } else {
    state_.end_taken();
  }
  return kind;
}

void Arrivals::refuse(std::string_view reason) {
  BlockCount dropped;
  if (std::exchange(in_hand_, false) && !in_hand_answered_) dropped += in_hand_bytes_;
  bool end_dropped = false;
  while (!queue_.empty() && !end_dropped) {
    std::span<const std::byte> bytes;
    end_dropped = queue_.take(bytes) != Kind::block;
    if (!end_dropped) dropped += bytes.size();
  }
  refusal_json_ = to_json_string(reason);
  if (const auto id = state_.refuse(dropped.blocks, dropped.bytes, end_dropped)) rejection_ = *id;
}

}  // namespace sluice::ipc
