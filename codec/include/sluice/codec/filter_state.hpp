// Which values of a state pass one stream's filter.
//
//   const FilterVerdict verdict = state.judge(value, now);
//   if (verdict.kind == FilterVerdict::Kind::pass && send(value)) state.note_sent(value, now);
//   if (verdict.kind == FilterVerdict::Kind::later) ask again at verdict.at, with the newest value
#pragma once

#include <cstdint>

#include "sluice/base/deadline.hpp"
#include "sluice/codec/filter.hpp"
#include "sluice/codec/packed_value.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

struct FilterVerdict {
  enum class Kind : unsigned char { drop, later, pass };

  Kind kind = Kind::drop;
  Deadline at = {};  ///< of later: when to ask again. Until then only a newer value can pass

  bool operator==(const FilterVerdict&) const = default;
};

/// A filter, and what it has to remember of one stream, in 48 bytes. The filter itself is shared by all copies
/// of it; with a `changed` in it, this holds on to the value that was sent last, too.
///
/// A verdict stands for the newest value only, so it replaces the one before. Sending is up to the caller:
/// what passed, but couldn't be sent yet, is judged again when it can, and nothing is missed. Thread-safety:
/// one thread at a time.
class FilterState {
 public:
  explicit FilterState(Filter filter = {}) noexcept : filter_(std::move(filter)) {}

  /// What becomes of `value` at the time `now`, which never goes back. Each filter of the combination that looks for
  /// a field walks over the packed bytes before it, and allocates nothing. Only a `changed` that finds other bytes needs
  /// the value's tree, if nobody has asked for it yet, and allocates what detail::values_equal does; then this throws
  /// what PackedValue::root() throws, and std::bad_alloc.
  FilterVerdict judge(const PackedValue& value, Deadline now);

  /// The value that was judged last has been sent, whatever the verdict was.
  void note_sent(const SharedValue& value, Deadline now) noexcept;

  const Filter& filter() const noexcept { return filter_; }

 private:
  static constexpr Deadline kNever = Deadline::min();

  Filter filter_;
  SharedValue sent_;           // the last one, if there's a changed in the filter
  Deadline sent_at_ = kNever;  // the time of it
  std::uint32_t held_ = 0;     // bit i: the comparison of crossing i held when it was looked at last
  std::uint32_t holds_ = 0;    // the same with the value that was judged last
};

static_assert(sizeof(FilterState) == 48);

}  // namespace sluice::codec

#pragma GCC visibility pop
