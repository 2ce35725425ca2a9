#include "sluice/codec/delta.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "packed_walk.hpp"
#include "run_writer.hpp"
#include "sluice/codec/detail/edited_tree.hpp"

namespace sluice::codec {
namespace {

using Bytes = std::span<const std::byte>;

/// How many bytes at the beginning are the same.
std::size_t common_bytes(const std::byte* one, const std::byte* other, std::size_t bytes) noexcept {
  constexpr std::size_t kBlock = 256;
  std::size_t same = 0;
  while (bytes - same >= kBlock && std::memcmp(one + same, other + same, kBlock) == 0) same += kBlock;
  while (same < bytes && one[same] == other[same]) ++same;
  return same;
}

/// One pass over two values, side by side. What is the same is compared as bytes and walked over once; only what
/// differs is looked at entry by entry.
class DeltaMaker {
 public:
  /// Deltas of more than most_bytes aren't worth it.
  explicit DeltaMaker(std::size_t most_bytes) noexcept : most_bytes_(most_bytes) {}

  /// The runs that make the one container of the other; both are stepped over. Nothing if it isn't worth it, or if
  /// the bytes aren't msgpack: then nobody knows how far it has come.
  std::optional<std::vector<std::byte>> runs_between(Entries& from, Entries& to, unsigned depth) const {
    RunWriter runs(from.each);
    std::uint64_t looks = kLooks + kLooksAnEntry * (std::uint64_t{from.left} + to.left);
    for (;;) {
      const std::size_t common = keep_common(from, to, runs);
      if (from.left == 0 || to.left == 0) break;
      const bool written = step_to_changed_value(from, to, common) ? change(from, to, depth, runs)
                                                                   : move(from, to, depth, looks, runs);
      if (!written || runs.most_bytes() > most_bytes_) return std::nullopt;
    }
    if (!drop(from, from.left, runs) || !insert(to, to.left, runs)) return std::nullopt;
    return std::move(runs).finish();
  }

 private:
  /// Steps over entries that are the same bytes on both sides: `from` is walked, `to` only compared. Returns how many
  /// bytes of the next entry are the same, too.
  static std::size_t keep_common(Entries& from, Entries& to, RunWriter& runs) {
    const auto bytes = std::min(from.end - from.next, to.end - to.next);
    const std::byte* const begin = from.next;
    const std::byte* const differs = begin + common_bytes(begin, to.next, static_cast<std::size_t>(bytes));
    std::uint32_t kept = 0;
    for (const std::uint32_t most = std::min(from.left, to.left); kept < most; ++kept) {
      const std::byte* end = skip_value(from.next, differs);
      if (end != nullptr && from.each == 2) end = skip_value(end, differs);
      if (end == nullptr) break;
      from.next = end;
    }
    to.next += from.next - begin;
    from.left -= kept;
    to.left -= kept;
    runs.keep(kept);
    return static_cast<std::size_t>(differs - from.next);
  }

  /// If the next entries are one whose value has changed, `from` and `to` stand before its value then. `common` bytes
  /// of them are the same.
  static bool step_to_changed_value(Entries& from, Entries& to, std::size_t common) {
    if (from.each == 1) {
      const bool alike = common >= kAlike && entries_of({from.next, from.end});  // spares walking over both
      return alike || changed_in_place(from, to);
    }
    const std::byte* const old_value = skip_value(from.next, from.end);
    const std::byte* const new_value = skip_value(to.next, to.end);
    if (old_value == nullptr || new_value == nullptr) return false;
    if (!same_bytes({from.next, old_value}, {to.next, new_value})) return false;
    from.next = old_value;
    to.next = new_value;
    return true;
  }

  /// Whether the next items of two arrays are one that has changed: the items behind them are the same.
  static bool changed_in_place(Entries from, Entries to) {
    return step_over(from) && step_over(to) && same_next(from, to);
  }
  /// Whether both have ended, or the next entries are the same.
  static bool same_next(const Entries& one, const Entries& other) {
    if (one.left == 0 || other.left == 0) return one.left == other.left;
    const auto next = entry_at(one);
    const auto next_other = entry_at(other);
    return next && next_other && same_entry(*next, *next_other);
  }

  /// Writes what becomes of the value before which both stand, and steps over it. False if the bytes aren't msgpack.
  bool change(Entries& from, Entries& to, unsigned depth, RunWriter& runs) const {
    const std::byte* const new_value = to.next;
    auto inside_from = entries_of({from.next, from.end});
    auto inside_to = entries_of({to.next, to.end});
    std::optional<std::vector<std::byte>> edit;
    if (inside_from && inside_to && inside_from->each == inside_to->each && depth < kDeepestEdit)
      edit = runs_between(*inside_from, *inside_to, depth + 1);
    from.next = edit ? inside_from->next : skip_value(from.next, from.end);
    to.next = edit ? inside_to->next : skip_value(to.next, to.end);
    if (from.next == nullptr || to.next == nullptr) return false;
    --from.left;
    --to.left;
    const Bytes replacement(new_value, to.next);
    if (edit && edit->size() < replacement.size()) {
      runs.edit(*edit);
    } else {
      runs.replace(replacement);
    }
    return true;
  }

  /// The next entries are different ones: finds the nearest of the one side that is the next of the other, and drops
  /// or inserts what stands before it. If there is none near, or `looks` are used up, the one becomes the other.
  bool move(Entries& from, Entries& to, unsigned depth, std::uint64_t& looks, RunWriter& runs) const {
    Entries old_ahead = from;
    Entries new_ahead = to;
    const auto old_next = step_over(old_ahead);
    const auto new_next = step_over(new_ahead);
    if (!old_next || !new_next) return false;
    std::uint64_t most = looks / kSearches;
    for (std::uint32_t ahead = 1; most > 0 && (old_ahead.left > 0 || new_ahead.left > 0);
         ++ahead, --most, --looks) {
      if (is_next(*new_next, to, old_ahead)) return drop(from, ahead, runs);
      if (is_next(*old_next, from, new_ahead)) return insert(to, ahead, runs);
    }
    if (from.each == 1) return change(from, to, depth, runs);
    return drop(from, 1, runs) && insert(to, 1, runs);
  }

  /// Steps over one entry of `ahead`, and tells whether it is `wanted`, the next one of `side`. Items of arrays may be
  /// the same by chance: those behind them have to be, too.
  static bool is_next(const Entry& wanted, Entries side, Entries& ahead) {
    if (ahead.left == 0) return false;
    const auto entry = step_over(ahead);
    if (!entry) ahead.left = 0;
    if (!entry || !same_entry(*entry, wanted)) return false;
    return side.each == 2 || (step_over(side) && same_next(side, ahead));
  }

  static bool drop(Entries& from, std::uint32_t entries, RunWriter& runs) {
    runs.drop(entries);
    for (; entries > 0; --entries)
      if (!step_over(from)) return false;
    return true;
  }
  static bool insert(Entries& to, std::uint32_t entries, RunWriter& runs) {
    for (; entries > 0; --entries) {
      const auto entry = step_over(to);
      if (!entry) return false;
      runs.insert(*entry);
    }
    return true;
  }

  /// Containers deeper than this are replaced as a whole.
  static constexpr unsigned kDeepestEdit = 32;
  /// Containers that begin with so many equal bytes are one that has changed.
  static constexpr std::size_t kAlike = 256;
  /// How many entries of a container are looked at again to find what was moved: some for each entry, and a part of
  /// what is left for each search, so that the time is in proportion to the entries.
  static constexpr std::uint64_t kLooks = 64;
  static constexpr std::uint64_t kLooksAnEntry = 2;
  static constexpr std::uint64_t kSearches = 4;

  const std::size_t most_bytes_;
};

}  // namespace

std::optional<std::vector<std::byte>> make_delta(Bytes from, Bytes to) {
  constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (from.size() > kMost || to.size() > kMost) return std::nullopt;
  auto old_entries = entries_of(from);
  auto new_entries = entries_of(to);
  if (!old_entries || !new_entries || old_entries->each != new_entries->each) return std::nullopt;
  auto delta = DeltaMaker(to.size() + RunWriter::kHeads).runs_between(*old_entries, *new_entries, 1);
  return delta && delta->size() < to.size() ? std::move(delta) : std::nullopt;
}

std::vector<std::byte> apply_delta(Bytes base, Bytes delta, const DecodeOptions& limits) {
  detail::EditedTree tree(limits);
  tree.assign(base);
  tree.apply(delta);
  return tree.pack();
}

}  // namespace sluice::codec
