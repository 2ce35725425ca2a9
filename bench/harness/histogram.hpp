// A log-linear histogram of durations in nanoseconds: constant cost to record, bounded relative error to
// read.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice::bench {

/// Counts durations from 0 to 2^40 ns (18 minutes; longer ones count as that). Every power of two is cut into
/// 256 equal buckets, so a duration below 512 ns is kept exactly and a longer one is reported at most 1/256
/// (0.4 %) too high. Trivially copyable, so that it can lie in memory shared by two processes. Thread-safety:
/// one writer; read afterwards.
class Histogram {
 public:
  static constexpr unsigned kSubBits = 8;
  static constexpr unsigned kMaxBits = 40;
  static constexpr double kRelativeError = 1.0 / (1U << kSubBits);

  void record(std::uint64_t ns) noexcept {
    ++counts_[index_of(ns)];
    ++total_;
    if (ns > max_) max_ = ns;
  }

  void clear() noexcept { *this = Histogram{}; }
  void add(const Histogram& other) noexcept;

  std::uint64_t count() const noexcept { return total_; }
  /// The longest duration recorded, exact.
  std::uint64_t max() const noexcept { return max_; }
  /// The mean of the middle half (from the 25th to the 75th percentile): as indifferent to outliers as the
  /// median, but not tied to the step of the clock, which on some processors is 10 ns. 0 if nothing was
  /// recorded.
  double middle_mean() const noexcept;
  /// The smallest recorded duration that at least `percent` of all don't exceed; 0 if nothing was recorded.
  std::uint64_t percentile(double percent) const noexcept;

 private:
  static constexpr std::uint64_t kSubCount = 1U << kSubBits;
  static constexpr std::uint64_t kLargest = (std::uint64_t{1} << kMaxBits) - 1;
  static constexpr std::size_t kBuckets = (kMaxBits - kSubBits + 1) * kSubCount;

  static constexpr std::size_t index_of(std::uint64_t ns) noexcept {
    if (ns > kLargest) ns = kLargest;
    if (ns < kSubCount) return ns;
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - kSubBits - 1;
    return (shift + 1) * kSubCount + ((ns >> shift) - kSubCount);
  }
  /// The largest duration that falls into a bucket.
  static constexpr std::uint64_t top_of(std::size_t index) noexcept {
    if (index < kSubCount) return index;
    const auto shift = static_cast<unsigned>(index / kSubCount - 1);
    return ((kSubCount + index % kSubCount + 1) << shift) - 1;
  }

  static constexpr double middle_of(std::size_t index) noexcept {
    const auto below = index == 0 ? 0.0 : static_cast<double>(top_of(index - 1)) + 1;
    return (below + static_cast<double>(top_of(index))) / 2;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace sluice::bench
