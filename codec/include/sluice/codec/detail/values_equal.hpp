// Whether two msgpack values say the same, however they were packed.
#pragma once

#include <compare>
#include <msgpack.hpp>

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

/// Whether `value` is an integer or a float, and not NaN.
bool is_number(const msgpack::object& value) noexcept;

/// Orders scalars: nil, booleans, numbers, strings, binaries, extensions. Numbers by what they are, exactly,
/// whether integer or float; NaN equals NaN and stands behind all others. Strings, binaries and extensions by
/// size, then by byte; timestamps by time. All arrays and maps are equivalent here, and stand last.
std::weak_ordering order_of_scalars(const msgpack::object& a, const msgpack::object& b) noexcept;

/// Whether two values are equal: scalars by order_of_scalars, arrays item by item, maps whatever the order of
/// their keys. A key that comes twice in a map has to have the same values in the same order in the other.
/// Maps with arrays or maps for keys are equal in one order only. Values nested deeper than kDeepestLevel are
/// not equal.
///
/// Takes time linear in the size of the smaller value if the keys of maps stand in the same order; for other
/// maps, n log n in their keys. Allocates only for maps of more than 16 pairs in different orders, 16 bytes a
/// pair. Throws std::bad_alloc.
bool values_equal(const msgpack::object& a, const msgpack::object& b);

}  // namespace sluice::codec::detail

#pragma GCC visibility pop
