#include "sluice/codec/sealed/sealed_state_journal.hpp"

#include <algorithm>
#include <utility>

#include "ring_with.hpp"
#include "sluice/base/detail/random_bytes.hpp"
#include "sluice/base/error.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"

namespace sluice::codec {
namespace {

constexpr std::uint64_t kLeastBytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t kMostBytes = std::uint64_t{16} << 30U;
/// Segments that a full journal has.
constexpr std::uint64_t kSegments = 16;

/// A new journal's numbers begin with a random range.
std::uint64_t first_of_a_random_range() {
  std::array<std::uint8_t, 3> random{};
  base::fill_random(random, "a journal's first number");
  const std::uint64_t range = 1U + (random[0] + 0x100U * random[1] + 0x10000U * (random[2] & 0x7fU));
  return range * kJournalRange + 1;
}

crypto::JournalOptions journal_options(const SealedStateJournalOptions& options) {
  if (options.retain_bytes < kLeastBytes || options.retain_bytes > kMostBytes) {
    throw error(sluice::errc::bad_option,
                "SealedStateJournalOptions::retain_bytes: expected 1 MiB .. 16 GiB, got " +
                    std::to_string(options.retain_bytes));
  }
  crypto::JournalOptions journal;
  journal.context = "sluice-state-journal/" + options.context;
  journal.sync = options.sync;
  journal.segment_bytes = options.retain_bytes / kSegments;
  journal.retain_bytes = options.retain_bytes;
  journal.retain_age = options.retain_age;
  journal.first_sequence = first_of_a_random_range();
  return journal;
}

class SealedReader final : public StateJournal::Reader {
 public:
  explicit SealedReader(crypto::JournalReader reader) : reader_(std::move(reader)) {}

  std::optional<StateJournal::Record> next() override {
    const auto record = reader_.next();
    if (!record) return std::nullopt;
    return StateJournal::Record{record->sequence, record->bytes};
  }

 private:
  crypto::JournalReader reader_;
};

}  // namespace

SealedStateJournal::SealedStateJournal(std::filesystem::path directory, crypto::SecretKey key,
                                       const SealedStateJournalOptions& options, crypto::KeyRing old_keys)
    : directory_(std::move(directory)),
      options_(journal_options(options)),
      key_(key.id()),
      keys_(with(std::move(old_keys), std::move(key))) {
  opened();
}

crypto::SealedJournal& SealedStateJournal::opened() {
  owner_.check("a journal of a state");
  if (!journal_) journal_.emplace(directory_, *keys_.find(key_), options_, &keys_);
  return *journal_;
}

std::uint64_t SealedStateJournal::append(std::span<const std::byte> record) {
  const std::lock_guard lock(mutex_);
  crypto::SealedJournal& journal = opened();
  try {
    const std::uint64_t number = journal.append(record);
    journal.flush();
    return number;
  } catch (...) {
    journal_.reset();  // what is on the disk will show when it is opened
    throw;
  }
}

std::uint64_t SealedStateJournal::oldest() {
  const std::lock_guard lock(mutex_);
  return opened().oldest_sequence();
}

std::uint64_t SealedStateJournal::next() {
  const std::lock_guard lock(mutex_);
  return opened().next_sequence();
}

std::unique_ptr<StateJournal::Reader> SealedStateJournal::read(std::uint64_t from) {
  owner_.check("a journal of a state");
  return std::make_unique<SealedReader>(crypto::JournalReader(directory_, keys_, options_.context, from));
}

std::array<std::uint8_t, 16> SealedStateJournal::seal(std::span<const std::byte> text) {
  std::array<std::uint8_t, 16> seal{};
  std::ranges::copy(keys_.find(key_)->tag("sluice state journal " + options_.context, text),
                    std::as_writable_bytes(std::span(seal)).begin());
  return seal;
}

crypto::JournalRecovery SealedStateJournal::recovery() {
  const std::lock_guard lock(mutex_);
  return opened().recovery();
}

}  // namespace sluice::codec
