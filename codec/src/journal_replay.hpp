// What a stream missed, from the journal of its state: its values once more through the stream's filter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "numbering.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/codec/packed_value.hpp"
#include "sluice/codec/state_journal.hpp"

namespace sluice::codec {

/// Records the value that a state is about to have, and returns its place.
std::uint64_t append_value(StateJournal& journal, const PackedValue& value);

/// Reads a few records at a time, so that a stream that waits for credit holds no file open and little memory.
/// Thread-safety: one thread at a time.
class JournalReplay {
 public:
  /// The items behind the one whose value is at this place. The journal must outlive it.
  JournalReplay(StateJournal& journal, std::uint64_t behind, Numbering numbering);

  /// The journal still has that item's value, so the filter knows it as the one before.
  void follow_last();
  /// How many items there are up to this place.
  std::uint64_t count_until(std::uint64_t place) const;

  /// The next one. Nothing once everything that the journal holds is dealt with; a value may still wait in
  /// numbering() then. Throws what reading throws.
  std::optional<StreamItem> next();
  /// Of the last value that was looked at.
  std::uint64_t place() const noexcept { return place_; }
  Numbering& numbering() noexcept { return numbering_; }

 private:
  /// How much is read at a time, if it isn't a single value.
  static constexpr std::size_t kMostRecords = 32;
  static constexpr std::size_t kMuchBytes = std::size_t{32} << 10U;

  bool refill();
  Deadline moment_of(const StreamItem& item) noexcept;

  StateJournal& journal_;
  std::uint64_t place_;
  std::uint64_t until_ = ~std::uint64_t{0};  // reads no further
  Numbering numbering_;
  std::vector<StreamItem> read_;  // not looked at: from at_ on
  std::size_t at_ = 0;
  Duration since_1970_;  // until the steady clock began
  Deadline moment_ = Deadline::min();
};

}  // namespace sluice::codec
