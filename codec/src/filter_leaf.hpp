// Filters by name, with the parameters that a text or a message gives.
#pragma once

#include <msgpack.hpp>
#include <span>
#include <string>
#include <string_view>

#include "sluice/codec/filter.hpp"

namespace sluice::codec {

/// More than any filter takes.
inline constexpr std::size_t kMostParameters = 8;

struct FilterParameter {
  std::string_view name;
  msgpack::object value;
};

/// Whether a filter of this name is a combination: and, or, not.
bool is_combination(std::string_view name) noexcept;

/// A filter that is no combination. Throws sluice::error (errc::bad_filter) for a name or a parameter that
/// isn't there, comes twice, or has a value out of range.
Filter leaf_named(std::string_view name, std::span<const FilterParameter> parameters);

/// The other way: the name, in snake case, of the parameter's value.
std::string_view name_of(Comparison comparison) noexcept;
std::string_view name_of(ThresholdMode mode) noexcept;
std::string_view name_of(NonNumbers non_numbers) noexcept;

}  // namespace sluice::codec
