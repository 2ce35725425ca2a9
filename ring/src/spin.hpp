// The polling phase of a wait.
#pragma once

#include <cstdint>

#include "sluice/base/detail/cpu_pause.hpp"
#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/waiting.hpp"

namespace sluice::ring {

/// Whether more than one CPU can run this process: on a single one, spinning only keeps the other side from
/// running.
bool spinning_helps() noexcept;

/// Leaves the other side alone for about 2 us on the CPUs of today, less than what a full ring holds: for a
/// side that has found nothing, or no room, while the other is likely to be busy; each look would take away
/// the line that the other is about to write. Does nothing under WaitStrategy::non_blocking, or if spinning
/// is of no help.
inline void leave_other_side_alone(WaitStrategy strategy) noexcept {
  constexpr unsigned kPauses = 100;
  if (strategy == WaitStrategy::non_blocking || !spinning_helps()) return;
  for (unsigned pause = 0; pause < kPauses; ++pause) base::cpu_pause();
}

/// Polls `ready` as the strategy says. ok: ready. would_block: not ready, and the strategy polls no longer;
/// the caller sleeps, or gives up under WaitStrategy::non_blocking. timed_out, or the gate's reason. Pauses
/// `pauses` times between polls.
template <typename Ready>
Status spin(const WaitOptions& options, const WaitGate& gate, Deadline deadline, unsigned pauses,
            Ready ready) noexcept {
  constexpr std::uint32_t kPollsPerClockReading = 64;
  const bool endless = options.strategy == WaitStrategy::spin;
  const std::uint32_t polls = options.strategy == WaitStrategy::adaptive ? options.spin_polls : 0;
  for (std::uint32_t poll = 0;; ++poll) {
    // The reason first: what the peer published before it ended is still to be found.
    const Status reason = gate.reason();
    if (ready()) return Status::ok;
    if (reason != Status::ok) return reason;
    if (!endless && poll >= polls) return Status::would_block;
    // Not before the first polls: data that comes at once shall not wait for the clock.
    if (deadline != kNoDeadline && poll % kPollsPerClockReading == kPollsPerClockReading - 1 &&
        std::chrono::steady_clock::now() >= deadline) {
      return Status::timed_out;
    }
    for (unsigned pause = 0; pause < pauses; ++pause) base::cpu_pause();
  }
}

}  // namespace sluice::ring
