// The futex calls on the low half of a 64-bit word. Words in a region are process-shared: the C++ library's
// own waits are private to one process and would lose wake-ups.
#pragma once

#include <atomic>
#include <cstdint>

#include "sluice/base/deadline.hpp"

namespace sluice::ring {

/// Sleeps while the low half of `shared` equals `expected` and that of `own` equals `own_expected`: until a
/// wake-up of either, a signal, or the deadline. `own` lies in memory of this process alone, so that no other
/// can take its wake-up away. False, at once, if the system can't wait for two words: Linux before 5.16, an
/// emulator, a sandbox.
bool futex_wait_either(const std::atomic<std::uint64_t>& shared, std::uint32_t expected,
                       const std::atomic<std::uint64_t>& own, std::uint32_t own_expected,
                       Deadline deadline) noexcept;

/// Sleeps while the low half of `shared` equals `expected`, until a wake-up, a signal, or the deadline.
void futex_wait(const std::atomic<std::uint64_t>& shared, std::uint32_t expected, Deadline deadline) noexcept;

/// Wakes the sleepers on a word of a region, in every process; returns how many there were.
int futex_wake(const std::atomic<std::uint64_t>& shared) noexcept;

/// Wakes the sleepers on a word that was given as `own`.
void futex_wake_own(const std::atomic<std::uint64_t>& own) noexcept;

}  // namespace sluice::ring
