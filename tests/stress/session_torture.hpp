// Everything at once that may go wrong with a session whose two processes stream in both directions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::test {

struct TortureOptions {
  std::uint64_t rounds = 60;
  std::chrono::seconds time = std::chrono::hours(24);  ///< ends earlier than `rounds` when it's over
  std::uint64_t seed = 0;
  bool in_files = true;
};

struct TortureReport {
  std::uint64_t rounds = 0;
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t seconds_refused = 0;  ///< second joiners, of an end whose owner stood still
  std::uint64_t takeovers = 0;
  std::uint64_t damages = 0;        ///< files damaged, restored from older copies or exchanged
  std::uint64_t sessions_anew = 0;  ///< that were begun behind one of those
  std::uint64_t limits = 0;         ///< processes that were short of descriptors, memory or threads
  std::uint64_t limits_failed = 0;  ///< of these, so many couldn't come back
  std::uint64_t messages = 0;

  std::string text() const;
};

/// Throws std::runtime_error with the broken promise: a message of one session lost, altered or out of order,
/// a number used twice, an end with two owners, two processes that don't come together.
TortureReport torture(const TortureOptions& options);

}  // namespace sluice::test
