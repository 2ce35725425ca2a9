// The futex calls on the low half of a 64-bit position. Process-shared: the C++ library's own waits are
// private to one process and would lose wake-ups.
#pragma once

#include <atomic>
#include <cstdint>

#include "sluice/ring/waiting.hpp"

namespace sluice::ring {

/// Sleeps while the low half of `word` equals `expected`. Returns false only when the deadline has passed.
bool futex_wait(const std::atomic<std::uint64_t>& word, std::uint32_t expected, Deadline deadline) noexcept;

/// Wakes the sleepers on `word`; returns how many there were.
int futex_wake(const std::atomic<std::uint64_t>& word) noexcept;

}  // namespace sluice::ring
