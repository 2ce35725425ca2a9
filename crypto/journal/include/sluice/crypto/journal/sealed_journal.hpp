// An append-only log of numbered records in sealed segment files.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "sluice/base/deadline.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// When appended records become durable (survive a power loss).
enum class SyncPolicy {
  each,      ///< append() returns once its record is durable; concurrent appends share one fsync
  interval,  ///< within sync_interval, by a background thread; append() returns at once
  none,      ///< only by sync(), roll() and close(); otherwise whenever the system writes it back
};

struct JournalOptions {
  std::string context{};  ///< any bytes; the same is needed to read
  SyncPolicy sync = SyncPolicy::interval;
  Duration sync_interval = std::chrono::milliseconds(50);
  /// A new segment starts when this many bytes are reached: 64 KiB .. 1 GiB.
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  /// Records are sealed together until they reach this many bytes: 1 KiB .. 4 MiB. Until then they are in
  /// this process's memory only, unless flush() or the policy sends them on.
  std::uint32_t frame_bytes = 64 * 1024;
  /// When a segment is begun or finished, the oldest ones go while all together are larger than this; 0 keeps
  /// everything. What can't be removed is tried again with the next one; the error is thrown once, by the
  /// next call to the journal, which then did nothing else (close() does its work all the same).
  std::uint64_t retain_bytes = 0;
  /// The same for segments whose records are all older than this by the system's clock; 0 keeps everything.
  /// If that clock was wrong when a segment was made, none goes early for it, and none stays for good.
  Duration retain_age{};
  /// The number of the first record of a new journal: 1 .. 2^64 - 2.
  std::uint64_t first_sequence = 1;
};

/// What opening a journal found.
struct JournalRecovery {
  std::uint64_t next_sequence = 0;
  std::uint64_t torn_bytes = 0;     ///< cut off behind the last complete record; 0 after a clean end
  std::filesystem::path segment{};  ///< where, if so
};

/// The writing end; one at a time for each directory, by a lock that ends with its process, and that a forked
/// child doesn't get.
///
///     SealedJournal journal("state/orders", key, {.context = "orders"});
///     std::uint64_t number = journal.append(record);
///     journal.close();
///
/// The directory is held open: if it is renamed, the journal goes on in it, whatever gets its name.
///
/// Thread-safe. A failed write or fsync of records, or of a segment to put them in, is kept: every later
/// call throws it again, because nobody can know what is on the disk; opening the journal anew finds out. If
/// anything else fails (memory for a record, the removal of old segments), the journal goes on, and append()
/// has added nothing if it throws. The destructor writes what is buffered but can't report; close() does. In
/// a forked child every call but recovery() is sluice::errc::misuse, and the destructor writes nothing.
/// Every call of what was moved from is misuse, too.
class SealedJournal {
 public:
  static constexpr std::size_t kMaxRecordBytes = (std::size_t{64} << 20) - 4;

  /// Opens or creates the directory (mode 0700) and recovers the end. Old segments may be sealed with
  /// `older_keys`. Errors: sluice::errc::busy if another writer has it, errc::corrupt, unknown_key,
  /// not_authentic (wrong key or context), sluice::errc::bad_option, or the system's. Nothing is changed
  /// if it throws, except that a torn tail may be cut.
  SealedJournal(const std::filesystem::path& directory, const SecretKey& key,
                const JournalOptions& options = {}, const KeyRing* older_keys = nullptr);
  SealedJournal(SealedJournal&&) noexcept;
  SealedJournal& operator=(SealedJournal&&) noexcept;
  SealedJournal(const SealedJournal&) = delete;
  SealedJournal& operator=(const SealedJournal&) = delete;
  ~SealedJournal();

  const JournalRecovery& recovery() const;

  /// Adds a record of 0 .. kMaxRecordBytes bytes (else sluice::errc::bad_option) and returns its sequence
  /// number; numbers are consecutive. It is durable as the policy says. errc::no_numbers after 2^64 - 2.
  std::uint64_t append(std::span<const std::byte> record);

  /// Hands everything to the system: readers see it, and it survives the end of this process (not of the
  /// machine).
  void flush();

  /// Makes everything appended so far durable.
  void sync();

  /// Finishes the current segment; the next record starts a new one.
  void roll();

  /// Removes whole segments, oldest first, never the newest: while all together have more than so many bytes;
  /// while all their records are older than `age` (0 or more, else sluice::errc::bad_option); while all their
  /// records come before `sequence`. Returns how many.
  std::size_t prune_to_bytes(std::uint64_t bytes);
  std::size_t prune_older_than(Duration age);
  std::size_t prune_before(std::uint64_t sequence);

  /// The number of the oldest record held (the next one to come if none is).
  std::uint64_t oldest_sequence() const;
  /// The number that the next record will have.
  std::uint64_t next_sequence() const;
  /// All records before this number are durable.
  std::uint64_t durable_sequence() const;

  /// Writes and syncs everything and gives up the lock, also if it throws; a second call does nothing.
  /// From its beginning on, sluice::errc::misuse for every other call but recovery() and the three numbers
  /// above, which keep answering what was so at the end.
  void close();

 private:
  class [[gnu::visibility("hidden")]] Writer;
  /// Of a writer that was inherited through fork() nothing is touched: its threads are the parent's.
  struct [[gnu::visibility("hidden")]] Release {
    void operator()(Writer* writer) const noexcept;
  };
  [[gnu::visibility("hidden")]] Writer& writer() const;
  std::unique_ptr<Writer, Release> writer_;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
