// Which values of a state become items of a stream: those that its filter passes, when they can no longer be replaced.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "sluice/base/deadline.hpp"
#include "sluice/codec/filter_state.hpp"
#include "sluice/codec/packed_value.hpp"

namespace sluice::codec {

/// A value on its way to an observer.
struct StreamItem {
  SharedValue value{};
  std::int64_t time_ns = 0;  ///< since 1970; 0: not known yet
  std::uint64_t place = 0;   ///< the value's number in the state's journal, 0 without one
};

/// Holds the newest value until it gets its number. Thread-safety: one thread at a time.
class Numbering {
 public:
  /// With `only_changes`, a value with the bytes of the item before isn't one.
  Numbering(const Filter& filter, bool only_changes) : filter_(filter), only_changes_(only_changes) {}

  /// The state's next value, which takes the place of one that waits.
  void offer(const StreamItem& item, Deadline now);
  /// The next value that is offered becomes an item, whatever the filter.
  void pass_next() noexcept { passes_next_ = true; }
  /// This value was an item before.
  void follow(const StreamItem& item, Deadline now);

  bool waiting() const noexcept { return waiting_.value != nullptr; }
  /// Of the value that waits.
  std::uint64_t place() const noexcept { return waiting_.place; }
  /// When the value that waits can be taken; in the past if it can be now.
  Deadline due() const noexcept { return due_; }
  /// Takes it. Nothing if there is none, if it isn't due, or isn't wanted any more.
  std::optional<StreamItem> take(Deadline now);
  void drop() noexcept { waiting_ = {}; }

 private:
  void judge(Deadline now);

  FilterState filter_;
  StreamItem waiting_;  // the newest value, if the filter passes it, or will at due_
  Deadline due_{};
  SharedValue last_;  // the last item, if only changes count
  bool only_changes_;
  bool passes_next_ = false;
};

}  // namespace sluice::codec
