// One run through the file: its records, and the answer that each must get.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "running_digest.hpp"

namespace demo {

/// A file's bytes, or the first kMaxInputBytes of them.
struct Input {
  std::vector<std::byte> bytes;
  bool cut = false;  ///< the file goes on
};

inline constexpr std::size_t kMaxInputBytes = 256U << 20U;

/// Throws where the file can't be read, or is empty.
Input load(const std::string& path);

/// The file in records of a fixed size, and an empty record that ends the lap.
class Lap {
 public:
  /// `bytes` must outlive the lap.
  Lap(std::span<const std::byte> bytes, std::size_t record_bytes);

  /// Records of a lap, the empty one at its end included.
  std::uint64_t size() const noexcept { return answers_.size(); }
  std::span<const std::byte> record(std::uint64_t index) const;
  /// The SHA-256 of the lap up to and including that record.
  const Digest& answer(std::uint64_t index) const { return answers_.at(index); }
  const Digest& digest() const { return answers_.back(); }
  std::size_t record_bytes() const noexcept { return record_bytes_; }
  std::size_t total_bytes() const noexcept { return bytes_.size(); }
  /// How long this process alone took to compute the answers.
  std::chrono::nanoseconds time_alone() const noexcept { return time_alone_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t record_bytes_;
  std::vector<Digest> answers_;
  std::chrono::nanoseconds time_alone_{};
};

}  // namespace demo
