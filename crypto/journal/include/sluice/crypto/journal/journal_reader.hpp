// Reads a sealed journal in order, also while it is being written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

struct JournalRecord {
  std::uint64_t sequence = 0;
  std::span<const std::byte> bytes{};  ///< valid until the reader's next call
};

/// How far a reader goes.
enum class ReadUpTo {
  written,  ///< all that was handed to the system: it survives the writer, but maybe not a power cut
  durable,  ///< only what was synced: no power cut takes it back, or gives its number to another record
};

/// Any number of readers, in any process; they take no lock. A record is handed out only after its frame is
/// verified. One thread at a time. In a forked child next() is sluice::errc::misuse, and
/// so is every call of what was moved from.
///
///     JournalReader reader("state/orders", key, "orders", 1000);
///     while (auto record = reader.next()) use(record->sequence, record->bytes);
///
/// The directory is held open. A look for news costs the same however many segments there are; now and then,
/// once in as many looks, the directory is listed to see whether one is missing.
class JournalReader {
 public:
  /// Starts at `from_sequence`, which must be held or be the next to come; errc::gap names what is held. 0
  /// starts at the oldest. The keys must outlive the reader. Errors: also unknown_key, not_authentic,
  /// corrupt, the system's.
  ///
  /// After a power cut the journal may hold fewer records than ReadUpTo::written has read, and new records get
  /// the numbers of the lost ones. Who keeps a position across power cuts reads up to what is durable.
  JournalReader(const std::filesystem::path& directory, const Keys& keys, const std::string& context = {},
                std::uint64_t from_sequence = 0, ReadUpTo reach = ReadUpTo::written);
  JournalReader(JournalReader&&) noexcept;
  JournalReader& operator=(JournalReader&&) noexcept;
  JournalReader(const JournalReader&) = delete;
  JournalReader& operator=(const JournalReader&) = delete;
  ~JournalReader();

  /// The next record, or nullopt if there is none yet: call again later. errc::corrupt at damage (a torn
  /// tail is no damage: it reads as the end), errc::gap if what comes next was pruned meanwhile,
  /// errc::replaced if what was read last isn't in the directory any more: another journal, or an older state
  /// of this one, was put in its place. After an error, the system's too, every call throws the same one; a new
  /// reader may start at position().
  std::optional<JournalRecord> next();

  /// The number that next() will return.
  std::uint64_t position() const;

 private:
  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

/// Reads and verifies everything that a journal holds: chain, frames, records. Returns the number of records;
/// throws as the reader does.
std::uint64_t verify_journal(const std::filesystem::path& directory, const Keys& keys,
                             const std::string& context = {});

}  // namespace sluice::crypto

#pragma GCC visibility pop
