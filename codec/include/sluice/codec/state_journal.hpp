// The values of an observable state, kept beyond its process: what lets a client resume that was away while the server
// was killed.
//
//   auto journal = std::make_shared<sluice::codec::SealedStateJournal>("/var/lib/counter", key);
//   sluice::codec::ObservableState<int> count(newest_value<int>(*journal).value_or(0), {.journal = journal});
//
// sealed/sealed_state_journal.hpp (library sluice::sealed_state) keeps them in encrypted files. A journal of your own
// implements the calls below.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "sluice/codec/decoder.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Numbered records, of which the oldest may go. The numbers are consecutive, and of no use with another journal: those
/// of a new one lie in a range of their own (see kJournalRange). One state uses a journal, in one process at a time.
/// Implementations may be called from any thread.
class StateJournal {
 public:
  struct Record {
    std::uint64_t number = 0;
    std::span<const std::byte> bytes{};  ///< until the reader's next call
  };
  /// Reads records in order. One thread at a time.
  class Reader {
   public:
    Reader() = default;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    virtual ~Reader() = default;
    /// The next one; nothing if there is none yet. Throws if it is damaged, or gone meanwhile.
    virtual std::optional<Record> next() = 0;
  };

  StateJournal() = default;
  StateJournal(const StateJournal&) = delete;
  StateJournal& operator=(const StateJournal&) = delete;
  virtual ~StateJournal() = default;

  /// Adds a record, and returns its number. It outlives this process (kill -9) from then on, and readers see it. If it
  /// throws, nothing was added, as far as anybody can tell: a failing disk may have it all the same.
  virtual std::uint64_t append(std::span<const std::byte> record) = 0;

  /// The number of the oldest record; next() if there is none.
  virtual std::uint64_t oldest() = 0;
  /// The number that the next record will have.
  virtual std::uint64_t next() = 0;
  /// Begins at this record, which is there.
  virtual std::unique_ptr<Reader> read(std::uint64_t from) = 0;

  /// 16 bytes that no peer can compute for a text: the same in each process that has this journal.
  virtual std::array<std::uint8_t, 16> seal(std::span<const std::byte> text) = 0;
};

/// The numbers of a journal begin at a random multiple of this, plus 1: one of another journal isn't taken for its own.
inline constexpr std::uint64_t kJournalRange = std::uint64_t{1} << 40U;

/// The packed value that was recorded last; nothing if there is none. Throws what reading throws.
std::optional<std::vector<std::byte>> newest_packed_value(StateJournal& journal);

/// The same as a T. Throws as Decoder::decode(), too.
template <typename T>
std::optional<T> newest_value(StateJournal& journal, const DecodeOptions& limits = {}) {
  const auto packed = newest_packed_value(journal);
  if (!packed) return std::nullopt;
  return Decoder(limits).decode<T>(*packed);
}

}  // namespace sluice::codec

#pragma GCC visibility pop
