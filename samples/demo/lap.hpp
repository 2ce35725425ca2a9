// One run through the file: its records, and the answer that each must get.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "digest.hpp"

namespace demo {

/// A file's bytes, or the first kMaxInputBytes of them.
struct Input {
  std::vector<std::byte> bytes;
  bool cut = false;  ///< the file goes on
};

inline constexpr std::size_t kMaxInputBytes = 256U << 20U;

/// Throws if the file can't be read, or is empty.
Input load(const std::string& path);

/// The file in records of a fixed size, and an empty record that ends the lap.
struct Lap {
  /// `all` must outlive the lap.
  Lap(std::span<const std::byte> all, std::size_t record_size);

  std::uint64_t size() const noexcept { return answers.size(); }  ///< records, the empty one included
  std::span<const std::byte> record(std::uint64_t index) const;
  const Digest& digest() const { return answers.back(); }

  std::span<const std::byte> bytes;
  std::size_t record_bytes;
  std::vector<Digest> answers;            ///< the SHA-256 of the lap up to and including each record
  std::chrono::nanoseconds time_alone{};  ///< that this process alone took for the answers
};

}  // namespace demo
