// What the bodies of the fuzzers make of their input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace sluice::test {

inline void require(bool holds) {
  if (!holds) std::abort();
}

/// Takes numbers from the input; zeros when it is used up.
class Choices {
 public:
  explicit Choices(std::span<const std::byte> input) : left_(input) {}
  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(left_[0]);
    left_ = left_.subspan(1);
    return value;
  }
  std::uint32_t word() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = (value << 8U) | byte();
    return value;
  }
  std::span<const std::byte> bytes(std::size_t count) {
    const auto taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::byte> left_;
};

}  // namespace sluice::test
