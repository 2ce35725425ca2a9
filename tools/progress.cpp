#include "progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "console.hpp"

namespace sluice::tools {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kNextLine{1};  // elsewhere than on a terminal
constexpr double kMemorySeconds = 3;          // how long a change of rate takes to show
constexpr std::size_t kUsualWidth = 80;
constexpr std::size_t kNarrowestBar = 10;
constexpr std::size_t kWidestBar = 40;

std::size_t line_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth - 1;
  return size.ws_col - 1U;  // a full line makes some terminals scroll
}

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits.at(unit));
}

std::string clock_time(double seconds) {
  constexpr double kMost = 99 * 3600;
  if (!(seconds < kMost)) return "--:--";
  const auto whole = static_cast<unsigned>(std::ceil(seconds));
  return whole < 3600 ? fmt::format("{}:{:02}", whole / 60, whole % 60)
                      : fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string bytes_and_rate(std::uint64_t done, double rate) {
  return fmt::format("{:>10}  {:>10}/s", human_bytes(static_cast<double>(done)), human_bytes(rate));
}

/// A bar in what is left of the line, if that is enough for one.
std::string bar(double part, std::size_t room) {
  constexpr std::size_t kFrame = 4;  // two spaces, two brackets
  if (room < kNarrowestBar + kFrame) return {};
  const std::size_t width = std::min(kWidestBar, room - kFrame);
  const auto full = static_cast<std::size_t>(part * static_cast<double>(width));
  return fmt::format("  [{:=>{}}{: >{}}]", "", full, "", width - full);
}

std::string line_of(std::uint64_t done, std::uint64_t total, double rate, std::size_t width) {
  const double part = total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto left = static_cast<double>(total - std::min(done, total));
  const std::string start = bytes_and_rate(done, rate);
  const std::string end = fmt::format("  {:3.0f} %  {:>7} left", part * 100, clock_time(left / rate));
  const std::size_t used = std::min(width, start.size() + end.size());
  return start + bar(part, width - used) + end;
}

}  // namespace

Progress::Progress(std::optional<std::uint64_t> total)
    : on_(verbosity() == Verbosity::verbose || (verbosity() == Verbosity::usual && has_terminal())),
      terminal_(has_terminal()),
      total_(total) {}

Progress::~Progress() {
  if (drawn_ && terminal_) write_to_standard_error("\n");
}

void Progress::begin(std::uint64_t done, std::optional<std::uint64_t> total) {
  first_ = last_ = done;
  start_ = shown_ = Clock::now();
  total_ = total;
}

void Progress::show(std::uint64_t done) {
  if (!on_) return;
  const auto now = Clock::now();
  if (now - shown_ < (terminal_ ? Clock::duration(kRedraw) : Clock::duration(kNextLine))) return;
  const double seconds = std::chrono::duration<double>(now - shown_).count();
  const double rate = static_cast<double>(done - last_) / seconds;
  rate_ += (last_ == first_ ? 1 : 1 - std::exp(-seconds / kMemorySeconds)) * (rate - rate_);
  shown_ = now;
  last_ = done;
  drawn_ = true;
  draw(total_ ? line_of(done, *total_, rate_, line_width()) : bytes_and_rate(done, rate_));
}

void Progress::finish(std::uint64_t done) {
  if (!on_) return;
  drawn_ = true;
  const double seconds = std::max(1e-6, std::chrono::duration<double>(Clock::now() - start_).count());
  const double rate = static_cast<double>(done - first_) / seconds;
  draw(fmt::format("{}  in {:.2f} s", bytes_and_rate(done, rate), seconds));
}

void Progress::draw(std::string line) const {
  line.resize(std::min(line.size(), line_width()));
  write_to_standard_error(terminal_ ? "\r" + line + "\x1b[K" : line + "\n");
}

}  // namespace sluice::tools
