// A reproducible stream of records of random sizes, whose content a reader can check from the seed alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace sluice::ring::testing {

class RecordStream {
 public:
  RecordStream(std::uint64_t seed, std::uint64_t largest) : random_(seed), largest_(largest) {}

  /// The size of the next record: mostly small, now and then anything up to the largest, and the edges.
  std::uint64_t next_size() {
    filler_ = random_();
    switch (random_() % 32) {
      case 0:
        return random_() % (largest_ + 1);
      case 1:
        return 0;
      case 2:
        return largest_ - random_() % 9;
      default:
        return random_() % (largest_ < 200 ? largest_ + 1 : 200);
    }
  }

  /// Writes the content of the record whose size was asked for last.
  void fill(std::span<std::byte> bytes) const {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = expected(i);
  }

  bool matches(std::span<const std::byte> bytes) const {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] != expected(i)) return false;
    }
    return true;
  }

 private:
  std::byte expected(std::size_t index) const {
    return static_cast<std::byte>(filler_ >> (index % 8 * 8)) ^ std::byte(index >> 3U);
  }

  std::mt19937_64 random_;
  std::uint64_t largest_;
  std::uint64_t filler_ = 0;
};

}  // namespace sluice::ring::testing
