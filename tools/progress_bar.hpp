// How far a long command has come: one line on standard error where that is a terminal, else nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::tools {

/// "1.5 MiB": a number of bytes for people.
std::string human_bytes(double bytes);

/// Draws bytes, rate and, where the total is known, a bar; at most ten times a second. The line is ended when
/// the object is destroyed, so that an error message starts on a line of its own.
class ProgressBar {
 public:
  /// `total`: the bytes to expect, if known.
  explicit ProgressBar(std::optional<std::uint64_t> total);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  /// `done`: the bytes so far.
  void show(std::uint64_t done);

  /// Draws the last state with the time that all of it took.
  void finish(std::uint64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::uint64_t done, Clock::time_point now) const;

  bool on_;
  std::optional<std::uint64_t> total_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
};

}  // namespace sluice::tools
