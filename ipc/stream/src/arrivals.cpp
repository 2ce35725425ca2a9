#include "arrivals.hpp"

#include <algorithm>

namespace sluice::ipc {
namespace {

using Verdict = ReceiveState::Verdict;

/// Streams that have ended and that nobody has received: as many as blocks may be in flight.
constexpr std::size_t kMaxQueuedItems = 4 * kMaxBlocksInFlight;
constexpr std::size_t kMaxSpareStorage = 32;

std::span<const std::byte> as_bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

bool Arrivals::on_end(const Frame& frame) {
  const bool is_error = frame.type == FrameType::error;
  const BlockId came = state_.expected_id();
  const Verdict verdict = is_error ? state_.on_error() : state_.on_end(frame.id);
  if (verdict == Verdict::refused) return true;
  if (count_ >= kMaxQueuedItems) return false;
  if (is_error) {
    push(Kind::error, as_bytes_of(text_of_peer(frame.payload)));
  } else if (verdict == Verdict::wrong_count) {
    push(Kind::violation, as_bytes_of("the peer's END counts " + std::to_string(frame.id) +
                                      " blocks, expected " + std::to_string(came)));
  } else {
    push(Kind::end, {});
  }
  return true;
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
  std::uint64_t dropped_blocks = 0;
  std::uint64_t dropped_bytes = 0;
  while (count_ != 0 && last().kind == Kind::block) {
    ++dropped_blocks;
    dropped_bytes += last().bytes.size();
    keep_storage(std::exchange(last().bytes, {}));
    --count_;
  }
  if (count_ == 0 && in_hand_ && !in_hand_answered_) {
    ++dropped_blocks;
    dropped_bytes += in_hand_bytes_;
    in_hand_answered_ = true;
  }
  (void)state_.consumed_unanswered();
  (void)state_.refuse(dropped_blocks, dropped_bytes, false);
  refusal_json_ = to_json_string(text);
  push(Kind::violation, as_bytes_of(text));
}

Arrivals::Kind Arrivals::next_queued(std::span<const std::byte>& block) {
  keep_storage(std::move(current_.bytes));
  current_ = std::move(queue_[first_]);
  drop_first();
  if (current_.kind == Kind::block) {
    block = current_.bytes;
    take_in_hand(block.size(), false);
  } else {
    state_.end_taken();
  }
  return current_.kind;
}

std::string Arrivals::text() const {
  return {reinterpret_cast<const char*>(current_.bytes.data()), current_.bytes.size()};
}

void Arrivals::refuse(std::string_view reason) {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
  const auto drop = [&](std::uint64_t size) {
    ++blocks;
    bytes += size;
  };
  if (std::exchange(in_hand_, false) && !in_hand_answered_) drop(in_hand_bytes_);
  bool end_dropped = false;
  while (count_ != 0 && !end_dropped) {
    end_dropped = queue_[first_].kind != Kind::block;
    if (!end_dropped) drop(queue_[first_].bytes.size());
    drop_first();
  }
  refusal_json_ = to_json_string(reason);
  if (const auto id = state_.refuse(blocks, bytes, end_dropped)) rejection_ = *id;
}

void Arrivals::push(Kind kind, std::span<const std::byte> bytes) {
  if (count_ == queue_.size()) {
    constexpr std::size_t kFirstPlaces = 16;
    std::rotate(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(first_), queue_.end());
    first_ = 0;
    queue_.resize(std::max(kFirstPlaces, 2 * queue_.size()));
  }
  ++count_;
  Item& item = last();
  item.kind = kind;
  if (item.bytes.capacity() == 0 && !spare_.empty()) {
    item.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  item.bytes.assign(bytes.begin(), bytes.end());
}

void Arrivals::drop_first() {
  keep_storage(std::exchange(queue_[first_].bytes, {}));
  first_ = (first_ + 1) % queue_.size();
  --count_;
}

void Arrivals::keep_storage(std::vector<std::byte> storage) {
  if (storage.capacity() != 0 && spare_.size() < kMaxSpareStorage) spare_.push_back(std::move(storage));
}

}  // namespace sluice::ipc
