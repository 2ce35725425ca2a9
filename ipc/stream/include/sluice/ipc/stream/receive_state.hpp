// The receiving half of the port-stream protocol as a pure state machine: what an arriving frame is worth,
// and when an ACK is due. It counts blocks and bytes; the blocks themselves are kept by its user.
//
//   DATA:  on_data(id, bytes): accept into the queue, or answer with a rejection
//   END:   on_end(id)                        ERROR: on_error()
//   the consumer has finished a block:  if (consumed(bytes)) post ACK *consumed_unanswered(), grant()
//   the consumer stops:                 if (auto id = refuse(...)) post a rejecting ACK *id
//
// Frames arrive ahead of consumption, so there are two places in the flow: `arrived` is behind the last
// accepted frame, `consumed` behind the last block that the consumer has finished.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "sluice/ipc/stream/send_state.hpp"
#include "sluice/ipc/stream/stream_frame.hpp"

#pragma GCC visibility push(default)

namespace sluice::ipc {

struct ReceiveLimits {
  /// Bytes that the peer may have in flight; 0 turns credits off.
  std::uint32_t window_bytes = 1U << 20U;
  /// How many bytes beyond its window, or beyond one block without credits, a peer may send before that is
  /// an error.
  std::uint64_t tolerance_bytes = 1U << 16U;
};

/// Thread-safety: none, like any value.
class ReceiveState {
 public:
  enum class Verdict : std::uint8_t {
    accept,
    refused,      ///< the stream was refused before: answer with a rejection of this block
    wrong_id,     ///< a number that jumps or repeats
    over_window,  ///< more than was granted and tolerated
    wrong_count,  ///< END or ERROR names another number of blocks than came
  };

  explicit ReceiveState(const ReceiveLimits& limits = {}, BlockId first_id = 0) noexcept
      : limits_(limits), arrived_(first_id), consumed_(first_id) {}

  Verdict on_data(BlockId id, std::uint64_t bytes) noexcept {
    if (refusing_) return Verdict::refused;
    stream_open_ = true;
    if (id != arrived_) return Verdict::wrong_id;
    if (unanswered_blocks_ == 0) {
      first_unanswered_bytes_ = bytes;
    } else if (unanswered_blocks_ >= 2 * kMaxBlocksInFlight || bytes > allowed_bytes() ||
               unanswered_bytes_ > allowed_bytes() - bytes) {
      return Verdict::over_window;
    }
    ++arrived_;
    ++unanswered_blocks_;
    unanswered_bytes_ += bytes;
    return Verdict::accept;
  }
  /// accept: the stream's end stands behind its blocks in the queue. refused: the refused stream is over.
  Verdict on_end(BlockId id) noexcept;
  /// The same for ERROR, whose number is only informative.
  Verdict on_error() noexcept;

  /// The consumer has finished the next block. Whether an ACK is due, whatever waits in the queue: a quarter
  /// of the window was consumed since the last one, or credits are off.
  bool consumed(std::uint64_t bytes) noexcept {
    ++consumed_;
    ++consumed_blocks_;
    consumed_bytes_ += bytes;
    return consumed_bytes_ >= limits_.window_bytes / kAckShare ||
           consumed_blocks_ >= kMaxBlocksInFlight / kAckShare || limits_.window_bytes == 0;
  }
  /// The window to name in the next ACK; nothing if credits are off.
  std::optional<std::uint32_t> grant() const noexcept;

  /// The consumer has taken the stream's END or ERROR out of the queue.
  void end_taken() noexcept { consumed_ = 0; }

  /// The consumer stops: it has dropped `blocks` blocks of `bytes` bytes from the queue, and, if
  /// `end_dropped`, the stream's end. Whatever else arrives of a stream that has begun will be refused.
  /// Returns the id to reject if a block was dropped; consumed_unanswered() comes before.
  std::optional<BlockId> refuse(std::uint64_t blocks, std::uint64_t bytes, bool end_dropped) noexcept;
  /// The id to acknowledge, if something was consumed and not acknowledged yet: due when consumed() says so,
  /// if no further block of the stream waits in the queue, and before a rejection.
  std::optional<BlockId> consumed_unanswered() noexcept;

  /// Blocks of the present stream are being refused until its END or ERROR arrives.
  bool refusing() const noexcept { return refusing_; }
  BlockId expected_id() const noexcept { return arrived_; }
  /// What may be unanswered at most; for messages.
  std::uint64_t allowed_bytes() const noexcept {
    return std::max<std::uint64_t>(granted_ ? limits_.window_bytes : 0, first_unanswered_bytes_) +
           limits_.tolerance_bytes;
  }
  /// Whether the peer, without another answer, may send a further block of that size: then an answer needn't
  /// hurry.
  bool peer_may_send(std::uint64_t bytes) const noexcept {
    return granted_ && bytes <= limits_.window_bytes && unanswered_bytes_ <= limits_.window_bytes - bytes;
  }

 private:
  /// A quarter of what may be in flight: the next ACK is on its way long before the sender runs dry.
  static constexpr std::uint64_t kAckShare = 4;

  void forget_answered(std::uint64_t blocks, std::uint64_t bytes) noexcept;

  ReceiveLimits limits_;
  BlockId arrived_;           // the next DATA's id
  BlockId consumed_;          // the id of the next block to be consumed
  bool stream_open_ = false;  // a DATA has arrived whose END or ERROR hasn't
  bool refusing_ = false;
  bool granted_ = false;                // the peer has a window in this stream
  std::uint64_t unanswered_bytes_ = 0;  // accepted and not covered by an ACK
  std::uint64_t unanswered_blocks_ = 0;
  std::uint64_t first_unanswered_bytes_ = 0;  // one block is always allowed, whatever its size
  std::uint64_t consumed_bytes_ = 0;          // of the unanswered ones, consumed
  std::uint64_t consumed_blocks_ = 0;
};

}  // namespace sluice::ipc

#pragma GCC visibility pop
