#include "sluice/ipc/stream/send_state.hpp"

#include <algorithm>
#include <utility>

namespace sluice::ipc {

void SendState::restart() noexcept {
  std::vector<std::uint64_t> places = std::move(ends_);
  *this = SendState();
  ends_ = std::move(places);
}

/// Makes room for more blocks in flight: at most for kMaxBlocksInFlight, since may_send() allows no more.
void SendState::grow() {
  constexpr std::size_t kFirstPlaces = 16;
  std::vector<std::uint64_t> more(std::max(kFirstPlaces, 2 * ends_.size()));
  for (BlockId id = oldest_; id != next_; ++id) more[id & (more.size() - 1)] = end_of(id);
  ends_ = std::move(more);
}

SendState::AckEffect SendState::on_ack(BlockId id, const Answer& answer) noexcept {
  const BlockId ahead = id - oldest_;  // modulo 2^32, like the ids
  if (ahead >= blocks_in_flight()) {
    // Answered before: 1 to blocks_answered_ behind the oldest unanswered one. Half the range is enough to
    // look back.
    const BlockId behind = oldest_ - id;
    const bool known = behind != 0 && behind <= blocks_answered_ && behind < (1U << 31U);
    return known ? AckEffect::stale : AckEffect::never_sent;
  }
  const std::uint64_t answered = end_of(id) - std::exchange(bytes_answered_, end_of(id));
  oldest_ = id + 1;
  blocks_answered_ += ahead + 1ULL;
  // A rejection says nothing good of the blocks before it either: each was answered as rejected.
  if (!answer.handled) return AckEffect::rejected;
  bytes_acknowledged_ += answered;
  window_ = answer.window.value_or(0);
  return AckEffect::advanced;
}

}  // namespace sluice::ipc
