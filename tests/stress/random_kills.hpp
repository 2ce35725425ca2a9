// Two workers of one session stream in both directions, and are killed at random moments, again and again.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice::test {

struct RandomKillsOptions {
  std::uint64_t kills = 500;
  std::chrono::seconds time = std::chrono::hours(24);  ///< ends earlier than `kills` when it's over
  std::uint64_t seed = 0;
};

struct RandomKillsReport {
  std::uint64_t kills = 0;
  std::uint64_t kills_while_opening = 0;  ///< of a process that had not resumed the session yet
  std::uint64_t kills_before_welcome =
      0;                          ///< of the side that had just adopted the other, which may not know
  std::uint64_t messages = 0;     ///< of both directions
  std::uint64_t redelivered = 0;  ///< received once more, as announced, without a checkpoint
};

/// Kills and restarts, then lets the streams end. Throws std::runtime_error with the broken promise: a
/// message lost, altered, out of order, doubled without being marked (or at all, with a checkpoint); a
/// process that doesn't go on.
RandomKillsReport kill_at_random(const RandomKillsOptions& options);

}  // namespace sluice::test
