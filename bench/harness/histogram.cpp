#include "histogram.hpp"

#include <algorithm>
#include <cmath>

namespace sluice::bench {

void Histogram::add(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
  max_ = std::max(max_, other.max_);
}

double Histogram::middle_mean() const noexcept {
  // The recorded durations in order, each one unit long: the mean of those between a quarter and three
  // quarters.
  const auto from = static_cast<double>(total_) * 0.25;
  const auto to = static_cast<double>(total_) * 0.75;
  double seen = 0;
  double sum = 0;
  for (std::size_t i = 0; i < counts_.size() && seen < to; ++i) {
    const auto next = seen + static_cast<double>(counts_[i]);
    const auto inside = std::min(next, to) - std::max(seen, from);
    if (inside > 0) sum += inside * middle_of(i);
    seen = next;
  }
  return total_ == 0 ? 0 : sum / (to - from);
}

std::uint64_t Histogram::percentile(double percent) const noexcept {
  if (total_ == 0) return 0;
  const auto share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::min(top_of(i), max_);
  }
  return max_;
}

}  // namespace sluice::bench
