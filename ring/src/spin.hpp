// The polling phase of a wait.
#pragma once

#include <chrono>
#include <cstdint>

#include "sluice/base/detail/cpu_pause.hpp"
#include "sluice/ring/detail/spin_window.hpp"
#include "sluice/ring/waiting.hpp"

namespace sluice::ring {

/// Whether more than one CPU can run this process: on a single one, spinning only keeps the other side from
/// running.
bool spinning_helps() noexcept;

/// The longest polling of one wait: zero if the strategy doesn't poll before it sleeps.
std::chrono::nanoseconds longest_spin(const WaitOptions& options) noexcept;

/// Leaves the other side alone for about 2 us on the CPUs of today, less than what a full ring holds: for a
/// side that has found nothing, or no room, while the other is likely to be busy; each look would take away
/// the line that the other is about to write. Does nothing under WaitStrategy::non_blocking, or if spinning
/// is of no help.
inline void leave_other_side_alone(WaitStrategy strategy) noexcept {
  constexpr unsigned kPauses = 100;
  if (strategy == WaitStrategy::non_blocking || !spinning_helps()) return;
  for (unsigned pause = 0; pause < kPauses; ++pause) base::cpu_pause();
}

/// ok: ready. The gate's reason, or would_block. The reason is read first: what the peer published before it
/// ended is still to be found.
template <typename Ready>
Status look(const WaitGate& gate, Ready& ready) noexcept {
  const Status reason = gate.reason();
  if (ready()) return Status::ok;
  return reason == Status::ok ? Status::would_block : reason;
}

/// Looks for some 4 us, and pauses `pauses` times between two looks.
template <typename Ready>
Status look_for_a_while(const WaitGate& gate, unsigned pauses, Ready& ready) noexcept {
  constexpr unsigned kPauses = 64;
  for (unsigned paused = 0; paused < kPauses; paused += pauses) {
    if (const Status status = look(gate, ready); status != Status::would_block) return status;
    for (unsigned pause = 0; pause < pauses; ++pause) base::cpu_pause();
  }
  return Status::would_block;
}

/// Polls `ready` without end.
template <typename Ready>
Status spin(const WaitGate& gate, Deadline deadline, unsigned pauses, Ready ready) noexcept {
  for (;;) {
    // Not before the first looks: what comes at once shall not wait for the clock.
    if (const Status status = look_for_a_while(gate, pauses, ready); status != Status::would_block)
      return status;
    if (deadline != kNoDeadline && std::chrono::steady_clock::now() >= deadline) return Status::timed_out;
  }
}

/// Polls `ready` for as long as the window allows. would_block: not ready, and the caller sleeps.
template <typename Ready>
Status spin(SpinWindow& window, const WaitGate& gate, Deadline deadline, unsigned pauses,
            Ready ready) noexcept {
  constexpr std::chrono::microseconds kLostCpu{50};  // for some 4 us of polling
  using Clock = std::chrono::steady_clock;
  const auto longest = window.begin();
  if (longest == SpinWindow::nanoseconds::zero()) return look(gate, ready);
  Status status = look_for_a_while(gate, pauses, ready);
  if (status == Status::ok) window.found_at_once();
  if (status != Status::would_block) return status;
  const auto begun = Clock::now();
  for (auto now = begun; now - begun < longest;) {
    if (now >= deadline) return Status::timed_out;
    status = look_for_a_while(gate, pauses, ready);
    const auto before = now;
    now = Clock::now();
    if (now - before > kLostCpu) window.lost_cpu();
    if (status == Status::ok) window.found_after(now - begun);
    if (status != Status::would_block) return status;
  }
  return Status::would_block;
}

/// Runs `sleep`, a wait's sleep, and notes for the window how long it took.
template <typename Sleep>
Status timed_sleep(SpinWindow& window, Sleep sleep) noexcept {
  const auto begun = std::chrono::steady_clock::now();
  const Status status = sleep();
  window.slept(std::chrono::steady_clock::now() - begun, status);
  return status;
}

}  // namespace sluice::ring
