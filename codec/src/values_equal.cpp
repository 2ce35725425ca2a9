#include "sluice/codec/detail/values_equal.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/timestamp.hpp"

namespace sluice::codec::detail {
namespace {

using msgpack::object;
using msgpack::object_kv;

bool is_float(const object& value) noexcept {
  return value.type == msgpack::type::FLOAT32 || value.type == msgpack::type::FLOAT64;
}

bool is_container(const object& value) noexcept {
  return value.type == msgpack::type::ARRAY || value.type == msgpack::type::MAP;
}

/// 0 nil, 1 boolean, 2 number, 3 string, 4 binary, 5 extension, 6 container.
int rank(const object& value) noexcept {
  switch (value.type) {
    case msgpack::type::NIL:
      return 0;
    case msgpack::type::BOOLEAN:
      return 1;
    case msgpack::type::POSITIVE_INTEGER:
    case msgpack::type::NEGATIVE_INTEGER:
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return 2;
    case msgpack::type::STR:
      return 3;
    case msgpack::type::BIN:
      return 4;
    case msgpack::type::EXT:
      return 5;
    case msgpack::type::ARRAY:
    case msgpack::type::MAP:
      break;
  }
  return 6;
}

std::weak_ordering reversed(std::weak_ordering order) noexcept {
  return std::is_lt(order)   ? std::weak_ordering::greater
         : std::is_gt(order) ? std::weak_ordering::less
                             : order;
}

/// NaN stands behind everything.
std::weak_ordering order_of_floats(double a, double b) noexcept {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) <=> std::isnan(b);
  return a < b   ? std::weak_ordering::less
         : a > b ? std::weak_ordering::greater
                 : std::weak_ordering::equivalent;
}

/// Exactly: as a double, 2^53 + 1 would be 2^53.
std::weak_ordering order_of_magnitudes(std::uint64_t whole, double number) noexcept {
  constexpr double kBeyond = 0x1p64;
  if (number < 0) return std::weak_ordering::greater;
  if (number >= kBeyond) return std::weak_ordering::less;
  const double floor = std::floor(number);
  const auto below = static_cast<std::uint64_t>(floor);
  if (whole != below) return whole <=> below;
  return floor < number ? std::weak_ordering::less : std::weak_ordering::equivalent;
}

std::weak_ordering order_with_float(const object& integer, double number) noexcept {
  if (std::isnan(number)) return std::weak_ordering::less;
  if (integer.type == msgpack::type::POSITIVE_INTEGER) return order_of_magnitudes(integer.via.u64, number);
  return reversed(order_of_magnitudes(0 - static_cast<std::uint64_t>(integer.via.i64), -number));
}

/// msgpack-cxx keeps what isn't negative as POSITIVE_INTEGER.
std::weak_ordering order_of_integers(const object& a, const object& b) noexcept {
  const bool a_negative = a.type == msgpack::type::NEGATIVE_INTEGER;
  const bool b_negative = b.type == msgpack::type::NEGATIVE_INTEGER;
  if (a_negative != b_negative) return b_negative <=> a_negative;
  return a_negative ? a.via.i64 <=> b.via.i64 : a.via.u64 <=> b.via.u64;
}

std::weak_ordering order_of_numbers(const object& a, const object& b) noexcept {
  if (is_float(a)) {
    return is_float(b) ? order_of_floats(a.via.f64, b.via.f64) : reversed(order_with_float(b, a.via.f64));
  }
  return is_float(b) ? order_with_float(a, b.via.f64) : order_of_integers(a, b);
}

std::weak_ordering order_of_bytes(const char* a, std::size_t a_bytes, const char* b,
                                  std::size_t b_bytes) noexcept {
  if (a_bytes != b_bytes) return a_bytes <=> b_bytes;
  return a_bytes == 0 ? std::weak_ordering::equivalent : std::memcmp(a, b, a_bytes) <=> 0;
}

/// The first byte of an extension is its type, which isn't counted in its size.
std::weak_ordering order_of_extensions(const object& a, const object& b) noexcept {
  const auto a_time = Timestamp::read(a);
  const auto b_time = Timestamp::read(b);
  if (a_time && b_time) {
    if (a_time->seconds != b_time->seconds) return a_time->seconds <=> b_time->seconds;
    return a_time->nanoseconds <=> b_time->nanoseconds;
  }
  if (a_time.has_value() != b_time.has_value()) return b_time.has_value() <=> a_time.has_value();
  return order_of_bytes(a.via.ext.ptr, std::size_t{a.via.ext.size} + 1, b.via.ext.ptr,
                        std::size_t{b.via.ext.size} + 1);
}

bool equal(const object& a, const object& b, unsigned levels);

bool equal_pairs(const object_kv& a, const object_kv& b, unsigned levels) {
  return equal(a.key, b.key, levels) && equal(a.val, b.val, levels);
}

/// Sorts the pairs of two maps, whose keys are scalars, and compares them. Their places break ties.
bool equal_sorted(std::span<const object_kv> a, std::span<const object_kv> b, unsigned levels) {
  constexpr std::size_t kOnStack = 16;
  std::array<const object_kv*, 2 * kOnStack> few;
  std::vector<const object_kv*> many;
  if (a.size() > kOnStack) many.resize(2 * a.size());
  const std::span<const object_kv*> room = many.empty() ? std::span<const object_kv*>(few) : many;
  const auto sorted_a = room.first(a.size());
  const auto sorted_b = room.subspan(a.size(), b.size());
  const auto sort = [](std::span<const object_kv> pairs, std::span<const object_kv*> sorted) {
    std::ranges::transform(pairs, sorted.begin(), [](const object_kv& pair) { return &pair; });
    std::ranges::sort(sorted, [](const object_kv* x, const object_kv* y) {
      const auto order = order_of_scalars(x->key, y->key);
      return std::is_neq(order) ? std::is_lt(order) : x < y;
    });
  };
  sort(a, sorted_a);
  sort(b, sorted_b);
  return std::ranges::equal(sorted_a, sorted_b, [levels](const object_kv* x, const object_kv* y) {
    return equal_pairs(*x, *y, levels);
  });
}

/// Looks at all keys before it looks at any value, so that nothing is compared in depth twice.
bool equal_maps(std::span<const object_kv> a, std::span<const object_kv> b, unsigned levels) {
  const bool in_order = std::ranges::equal(a, b, [](const object_kv& x, const object_kv& y) {
    return std::is_eq(order_of_scalars(x.key, y.key));
  });
  if (in_order) {
    return std::ranges::equal(
        a, b, [levels](const object_kv& x, const object_kv& y) { return equal_pairs(x, y, levels); });
  }
  const auto has_container = [](const object_kv& pair) { return is_container(pair.key); };
  if (std::ranges::any_of(a, has_container)) return false;
  return equal_sorted(a, b, levels);
}

/// `levels` is how many containers within each other may still be entered.
bool equal(const object& a, const object& b, unsigned levels) {
  if (!is_container(a) || !is_container(b)) return std::is_eq(order_of_scalars(a, b));
  if (a.type != b.type || levels == 0) return false;
  if (a.type == msgpack::type::ARRAY) {
    return std::ranges::equal(std::span(a.via.array.ptr, a.via.array.size),
                              std::span(b.via.array.ptr, b.via.array.size),
                              [levels](const object& x, const object& y) { return equal(x, y, levels - 1); });
  }
  return a.via.map.size == b.via.map.size &&
         equal_maps({a.via.map.ptr, a.via.map.size}, {b.via.map.ptr, b.via.map.size}, levels - 1);
}

}  // namespace

bool is_number(const object& value) noexcept {
  return rank(value) == 2 && !(is_float(value) && std::isnan(value.via.f64));
}

std::weak_ordering order_of_scalars(const object& a, const object& b) noexcept {
  if (rank(a) != rank(b)) return rank(a) <=> rank(b);
  switch (a.type) {
    case msgpack::type::BOOLEAN:
      return a.via.boolean <=> b.via.boolean;
    case msgpack::type::STR:
      return order_of_bytes(a.via.str.ptr, a.via.str.size, b.via.str.ptr, b.via.str.size);
    case msgpack::type::BIN:
      return order_of_bytes(a.via.bin.ptr, a.via.bin.size, b.via.bin.ptr, b.via.bin.size);
    case msgpack::type::EXT:
      return order_of_extensions(a, b);
    case msgpack::type::NIL:
    case msgpack::type::ARRAY:
    case msgpack::type::MAP:
      return std::weak_ordering::equivalent;
    default:
      return order_of_numbers(a, b);
  }
}

bool values_equal(const object& a, const object& b) {
  return equal(a, b, kDeepestLevel);
}

}  // namespace sluice::codec::detail
