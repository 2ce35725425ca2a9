// The ACKs that came and that the sender hasn't looked at: at most one of either kind, since a later one says
// all that an earlier one did.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "sluice/ipc/stream/stream_frame.hpp"

namespace sluice::ipc {

/// Thread-safety: none; StreamReader's lock guards it.
class PeerAnswers {
 public:
  struct Handled {
    BlockId id;
    std::optional<std::uint32_t> window;
  };
  struct Rejected {
    BlockId id;
    std::string reason;
  };

  /// A stream begins whose answers count from 0.
  void begin() noexcept {
    handled_.reset();
    rejected_.reset();
    expected_ = true;
  }
  /// Whether an ACK can be for anything of ours; others are noise.
  void expect(bool expected) noexcept { expected_ = expected; }

  /// False: it says nothing new. Nothing follows a rejection but further ones.
  bool add(BlockId id, const Answer& answer) {
    if (!expected_ || (rejected_ && answer.handled)) return false;
    if (answer.handled) {
      if (handled_ && !is_ahead(id, handled_->id)) return false;
      handled_ = Handled{id, answer.window};
    } else if (!rejected_) {
      rejected_ = Rejected{id, answer.reason_json.empty() ? std::string() : text_of_peer(answer.reason_json)};
    } else {
      if (!is_ahead(id, rejected_->id)) return false;
      rejected_->id = id;
    }
    return true;
  }

  std::optional<Handled> take_handled() noexcept { return std::exchange(handled_, std::nullopt); }
  /// To be taken after the other.
  std::optional<Rejected> take_rejected() noexcept { return std::exchange(rejected_, std::nullopt); }

 private:
  static bool is_ahead(BlockId id, BlockId of) noexcept {
    const BlockId distance = id - of;  // modulo 2^32
    return distance != 0 && distance < 1U << 31U;
  }

  bool expected_ = false;
  std::optional<Handled> handled_;
  std::optional<Rejected> rejected_;
};

}  // namespace sluice::ipc
