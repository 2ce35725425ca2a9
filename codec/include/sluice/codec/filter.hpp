// What an observer wants of a state: some of its values, by what is in them and how often they come.
//
//   Filter a = Filter::changed("todos") && Filter::rate_limit(10);  // at most 10 a second
//   Filter b = Filter::threshold(60, {.field = "engine.temperature", .mode = ThresholdMode::crossing});
//   Filter c = Filter::parse("threshold value=60 field=engine.temperature mode=crossing");
//
// docs/formats/filters.md has every filter, and its forms as text and in messages.
#pragma once

#include <cstddef>
#include <memory>
#include <msgpack.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"

namespace sluice::codec::detail {
struct FilterSpec;
}

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Bounds of one filter: what exceeds them is refused.
inline constexpr std::size_t kMostFilterNodes = 32;   ///< filters in it, combinations included
inline constexpr unsigned kDeepestFilter = 16;        ///< combinations within each other, and what is in them
inline constexpr std::size_t kMostFilterText = 4096;  ///< bytes of one as text

enum class Comparison : unsigned char { gt, gte, lt, lte, eq, neq };
enum class ThresholdMode : unsigned char {
  level,    ///< passes while the comparison holds
  crossing  ///< passes when it begins to hold: at first, or when it didn't for the value before
};
enum class NonNumbers : unsigned char { pass, drop };

struct ThresholdOptions {
  std::string_view field = {};  ///< empty: the value itself
  Comparison comparison = Comparison::gt;
  ThresholdMode mode = ThresholdMode::level;
  NonNumbers non_numbers = NonNumbers::pass;  ///< what happens to a value that is no number, or isn't there
};

/// A filter, or a combination of them. Copies share what they say. Thread-safety: a value type.
class Filter {
 public:
  /// Passes everything.
  Filter() = default;

  /// A value that differs from the last one that was sent; the first passes. A field is a path of names
  /// parted by dots, which reach into maps, and into arrays by index; empty: the value itself. Throws
  /// sluice::error with errc::bad_filter for a bad path, as all these do for parameters out of range.
  static Filter changed(std::string_view field = {});
  /// All but nil, what isn't there, and empty arrays, maps, strings and binaries.
  static Filter non_empty(std::string_view field = {});
  /// A number that compares so with `value`, which is finite.
  static Filter threshold(double value, const ThresholdOptions& options = {});
  /// At most one value in an `interval` of 1 ns to a day. What comes too early waits, until a newer one
  /// replaces it.
  static Filter rate_limit(Duration interval);
  /// The same with an interval of a second / per_second.
  static Filter rate_limit(double per_second);

  /// From text: filters with their parameters (`name=value`), `and`, `or`, `not`, parentheses. Throws
  /// sluice::error with errc::bad_filter, which says what came and what is valid.
  static Filter parse(std::string_view text);
  /// From a message: a name, [name, {parameters}], ["and", [filters]], ["or", [filters]], ["not", filter], or
  /// nil. Throws as parse() does.
  static Filter from(const msgpack::object& value);

  /// As a message, for from().
  std::vector<std::byte> packed() const;

  template <typename Packer>
  void msgpack_pack(Packer& packer) const {
    detail::pack_packed(packer, packed());
  }
  void msgpack_unpack(const msgpack::object& value) { *this = from(value); }

  /// Whether both are built of the same filters in the same order.
  friend bool operator==(const Filter& a, const Filter& b);

  /// A combination; `a && b && c` is one of three. Throws sluice::error (errc::bad_filter) beyond the bounds.
  friend Filter operator&&(const Filter& a, const Filter& b);
  friend Filter operator||(const Filter& a, const Filter& b);
  /// Passes what `a` drops. Throws as above, and if there is a rate limit in `a`: the newest value would be
  /// lost.
  friend Filter operator!(const Filter& a);

  /// For the codec room. Null: passes everything.
  explicit Filter(std::shared_ptr<const detail::FilterSpec> spec) noexcept : spec_(std::move(spec)) {}
  const detail::FilterSpec* spec() const noexcept { return spec_.get(); }

 private:
  std::shared_ptr<const detail::FilterSpec> spec_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop
