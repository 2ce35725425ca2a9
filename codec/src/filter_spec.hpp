// What a filter says, as those read it who judge by it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "field_path.hpp"
#include "sluice/codec/filter.hpp"

namespace sluice::codec::detail {

/// One filter or combination.
struct FilterNode {
  enum class Kind : std::uint8_t { all, changed, non_empty, threshold, rate_limit, all_of, any_of, none_of };

  Kind kind = Kind::all;
  std::uint8_t nodes = 1;  // it and everything below it
  FieldPath field = {};    // of changed, non_empty and threshold
  Comparison comparison = Comparison::gt;
  ThresholdMode mode = ThresholdMode::level;
  NonNumbers non_numbers = NonNumbers::pass;
  double value = 0;                        // of threshold
  std::chrono::nanoseconds interval = {};  // of rate_limit

  bool is_crossing() const noexcept { return kind == Kind::threshold && mode == ThresholdMode::crossing; }
  bool operator==(const FilterNode&) const = default;
};

/// A tree in one row: each node stands before those below it. (So a node's bit in a word is its place.)
struct FilterSpec {
  std::vector<FilterNode> nodes;
  unsigned depth = 1;
  bool compares = false;  // there is a changed in it
  bool crosses = false;   // or a threshold in mode crossing
  bool limits = false;    // or a rate_limit
};

/// What the filter says, also if it is one that passes everything.
const FilterSpec& spec_of(const Filter& filter);

}  // namespace sluice::codec::detail
