// How far a long command has come: a line on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::tools {

/// Draws bytes, rate and, if the total is known, percentage and remaining time, in the width of the terminal
/// and at most ten times a second. Elsewhere than on a terminal, and with -v only: a line a second. With -q
/// nothing. On a terminal the line is ended when the object is destroyed, so that what follows has a line of
/// its own.
class Progress {
 public:
  /// `total`: the bytes to expect, if known.
  explicit Progress(std::optional<std::uint64_t> total = std::nullopt);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// Draws nothing from here on.
  void hide() noexcept { on_ = false; }

  /// What a transfer goes on from, and how much it will be in all.
  void begin(std::uint64_t done, std::optional<std::uint64_t> total);

  /// `done`: the bytes so far.
  void show(std::uint64_t done);

  /// Draws the end: all bytes, the average rate, and the time that it took.
  void finish(std::uint64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::string line) const;

  bool on_;
  bool terminal_;
  bool drawn_ = false;
  std::optional<std::uint64_t> total_;
  std::uint64_t first_ = 0;  // where this process began
  std::uint64_t last_ = 0;   // what was shown last, and when
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  double rate_ = 0;  // bytes a second, of the last seconds
};

}  // namespace sluice::tools
