#include "journal_replay.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>

#include "sluice/base/detail/little_endian.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {
namespace {

// A record: when the state got the value, in ns since 1970 (8 bytes, little-endian), and the packed value.
constexpr std::size_t kTimeBytes = 8;

StreamItem item_of(const StateJournal::Record& record) {
  if (record.bytes.size() <= kTimeBytes) {
    throw error(errc::cut_off, "record " + std::to_string(record.number) + " of a state's journal: got " +
                                   std::to_string(record.bytes.size()) + " bytes");
  }
  const auto packed = record.bytes.subspan(kTimeBytes);
  return {std::make_shared<const PackedValue>(std::vector<std::byte>(packed.begin(), packed.end())),
          static_cast<std::int64_t>(base::load_le<std::uint64_t>(record.bytes, 0)), record.number};
}

}  // namespace

std::uint64_t append_value(StateJournal& journal, const PackedValue& value) {
  std::vector<std::byte> record(kTimeBytes);
  const std::chrono::nanoseconds now = std::chrono::system_clock::now().time_since_epoch();
  base::store_le(record, 0, static_cast<std::uint64_t>(now.count()));
  record.insert(record.end(), value.bytes().begin(), value.bytes().end());
  return journal.append(record);
}

std::optional<std::vector<std::byte>> newest_packed_value(StateJournal& journal) {
  const std::uint64_t next = journal.next();
  if (journal.oldest() == next) return std::nullopt;
  const auto reader = journal.read(next - 1);
  const auto record = reader->next();
  if (!record) return std::nullopt;
  const SharedValue value = item_of(*record).value;
  const auto bytes = value->bytes();
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

JournalReplay::JournalReplay(StateJournal& journal, std::uint64_t behind, Numbering numbering)
    : journal_(journal),
      place_(behind),
      numbering_(std::move(numbering)),
      since_1970_(std::chrono::system_clock::now().time_since_epoch() -
                  std::chrono::steady_clock::now().time_since_epoch()) {}

void JournalReplay::follow_last() {
  const auto reader = journal_.read(place_);
  const auto record = reader->next();
  if (!record) return;
  const StreamItem item = item_of(*record);
  numbering_.follow(item, moment_of(item));
}

std::uint64_t JournalReplay::count_until(std::uint64_t place) const {
  JournalReplay counted(*this);
  counted.until_ = place;
  std::uint64_t items = 0;
  while (counted.next()) ++items;
  return items;
}

/// When the value came, by the steady clock. Never goes back, and never beyond the present.
Deadline JournalReplay::moment_of(const StreamItem& item) noexcept {
  const Deadline then(std::chrono::nanoseconds(item.time_ns) - since_1970_);
  return moment_ = std::max(moment_, std::min(then, std::chrono::steady_clock::now()));
}

bool JournalReplay::refill() {
  read_.clear();
  at_ = 0;
  if (place_ >= until_ || place_ + 1 >= journal_.next()) return false;
  const auto reader = journal_.read(place_ + 1);
  for (std::size_t bytes = 0; read_.size() < kMostRecords && bytes < kMuchBytes;) {
    const auto record = reader->next();
    if (!record || record->number > until_) break;
    bytes += record->bytes.size();
    read_.push_back(item_of(*record));
  }
  return !read_.empty();
}

std::optional<StreamItem> JournalReplay::next() {
  while (at_ < read_.size() || refill()) {
    const StreamItem& value = read_[at_];
    const Deadline now = moment_of(value);
    if (auto item = numbering_.take(now)) return item;  // it waited for this time
    numbering_.offer(value, now);
    place_ = value.place;
    ++at_;
    if (auto item = numbering_.take(now)) return item;
  }
  return std::nullopt;
}

}  // namespace sluice::codec
