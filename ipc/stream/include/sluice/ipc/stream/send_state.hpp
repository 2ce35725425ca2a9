// The sending half of the port-stream protocol as a pure state machine: which block may go, and what an ACK
// means.
//
//   SendState state;
//   if (state.may_send(block.size())) post(FrameHead(FrameType::data, state.begin_block(block.size())),
//   block);
//   ... state.on_ack(frame.id, decode_answer(frame.payload)) for each ACK that comes
//   once state.all_answered(): post(FrameHead(FrameType::end, state.next_id()), {});
//
// Invariant: blocks in flight are answered in order, each once; nothing is in flight beyond the window that
// the receiver granted, except that one block always may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sluice/ipc/stream/stream_frame.hpp"

#pragma GCC visibility push(default)

namespace sluice::ipc {

/// No more blocks than this are ever unanswered, however small they are: it bounds the bookkeeping at both
/// ends.
inline constexpr std::size_t kMaxBlocksInFlight = 4096;

/// Thread-safety: none, like any value.
class SendState {
 public:
  /// What an ACK did.
  enum class AckEffect : std::uint8_t {
    advanced,    ///< blocks were answered
    stale,       ///< of a block that was answered before: ignored
    rejected,    ///< the receiver refuses this block and all later ones
    never_sent,  ///< of a block that was never sent: the peer broke the protocol
  };

  explicit SendState(BlockId first_id = 0) noexcept : oldest_(first_id), next_(first_id) {}

  /// Begins the next stream on the same port. All blocks of the present one must have been answered.
  void restart() noexcept;

  /// Whether a block of that size may be sent now.
  bool may_send(std::uint64_t bytes) const noexcept {
    if (all_answered()) return true;
    const std::uint64_t in_flight = bytes_in_flight();
    return in_flight <= window_ && bytes <= window_ - in_flight && window_ != 0 &&
           blocks_in_flight() < kMaxBlocksInFlight;
  }
  /// Notes that a block is being sent, and gives it its number.
  BlockId begin_block(std::uint64_t bytes) {
    if (blocks_in_flight() == ends_.size()) [[unlikely]]
      grow();
    bytes_sent_ += bytes;
    end_of(next_) = bytes_sent_;
    return next_++;
  }

  AckEffect on_ack(BlockId id, const Answer& answer) noexcept;

  bool all_answered() const noexcept { return oldest_ == next_; }
  /// How many blocks were begun, modulo 2^32: the id of END and ERROR.
  BlockId next_id() const noexcept { return next_; }
  std::size_t blocks_in_flight() const noexcept { return next_ - oldest_; }  // modulo 2^32, like the ids
  std::uint64_t bytes_in_flight() const noexcept { return bytes_sent_ - bytes_answered_; }
  std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }
  std::uint64_t blocks_sent() const noexcept { return blocks_answered_ + blocks_in_flight(); }
  /// Answered as handled.
  std::uint64_t bytes_acknowledged() const noexcept { return bytes_acknowledged_; }
  /// 0 while the peer isn't known to give credits.
  std::uint32_t window() const noexcept { return window_; }

 private:
  /// bytes_sent() after that block, which is in flight.
  std::uint64_t& end_of(BlockId id) noexcept { return ends_[id & (ends_.size() - 1)]; }
  void grow();

  BlockId oldest_;  // the oldest unanswered block, if there is one
  BlockId next_;
  std::vector<std::uint64_t> ends_;  // a power of two of places, each used again after so many blocks
  std::uint64_t blocks_answered_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_answered_ = 0;  // in either way
  std::uint64_t bytes_acknowledged_ = 0;
  std::uint32_t window_ = 0;
};

}  // namespace sluice::ipc

#pragma GCC visibility pop
