#include "progress_bar.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "standard_streams.hpp"

namespace sluice::tools {
namespace {

constexpr unsigned kBarWidth = 30;
constexpr std::chrono::milliseconds kRedraw{100};
constexpr const char* kClearToEndOfLine = "\x1b[K";

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::max(1e-6, std::chrono::duration<double>(to - from).count());
}

}  // namespace

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits.at(unit));
}

ProgressBar::ProgressBar(std::optional<std::uint64_t> total)
    : on_(::isatty(STDERR_FILENO) == 1), total_(total) {}

ProgressBar::~ProgressBar() {
  if (shown_ != Clock::time_point{}) say("\n");
}

void ProgressBar::show(std::uint64_t done) {
  if (!on_) return;
  const auto now = Clock::now();
  if (now - shown_ < kRedraw) return;
  shown_ = now;
  draw(done, now);
  say("{}", kClearToEndOfLine);
}

void ProgressBar::finish(std::uint64_t done) {
  if (!on_) return;
  shown_ = Clock::now();
  draw(done, shown_);
  say("  in {:.2f} s{}", seconds_between(start_, shown_), kClearToEndOfLine);
}

void ProgressBar::draw(std::uint64_t done, Clock::time_point now) const {
  const double rate = static_cast<double>(done) / seconds_between(start_, now);
  say("\r{:>10}  {:>10}/s", human_bytes(static_cast<double>(done)), human_bytes(rate));
  if (!total_ || *total_ == 0) return;
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(*total_));
  const auto full = static_cast<unsigned>(part * kBarWidth);
  say("  [{:=>{}}{: >{}}] {:3.0f} %", "", full, "", kBarWidth - full, part * 100);
}

}  // namespace sluice::tools
