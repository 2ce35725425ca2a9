// The values of a state in a sealed journal: streams go on where they were when the server was killed.
//
//   const auto journal = std::make_shared<sluice::codec::SealedStateJournal>("/var/lib/counter", key);
//   sluice::codec::StatefulActor<Count> count(store, "count", {}, {.state = {.journal = journal}});
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/state_journal.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

struct SealedStateJournalOptions {
  /// What the journal is for: any bytes, the same for every opening. It is sealed for "sluice-state-journal/CONTEXT".
  std::string context{};
  /// When a value is safe from a power failure, too. (Against kill -9 it is before an observer gets it.)
  crypto::SyncPolicy sync = crypto::SyncPolicy::interval;
  /// How much is kept: the oldest values go in steps of a sixteenth of this, 64 KiB at least. 1 MiB .. 16 GiB.
  std::uint64_t retain_bytes = std::uint64_t{64} << 20;
  /// Older values go, too; 0: they stay.
  Duration retain_age{};
};

/// A directory (mode 0700) with a sealed journal in it, for one state of one process at a time. After a failure (a full
/// disk) the next append opens it anew, so that it goes on once that is over. Thread-safety: any thread; in a forked
/// child every call throws errc::misuse.
class SealedStateJournal final : public StateJournal {
 public:
  /// Opens or makes it. Values are sealed with `key`; old ones are opened with one of `old_keys`, too. Streams that
  /// began under another key are restarted. Throws what SealedJournal throws.
  SealedStateJournal(std::filesystem::path directory, crypto::SecretKey key,
                     const SealedStateJournalOptions& options = {}, crypto::KeyRing old_keys = {});

  std::uint64_t append(std::span<const std::byte> record) override;
  std::uint64_t oldest() override;
  std::uint64_t next() override;
  std::unique_ptr<Reader> read(std::uint64_t from) override;
  std::array<std::uint8_t, 16> seal(std::span<const std::byte> text) override;

  /// What opening it found, the last time: a torn end, for example.
  crypto::JournalRecovery recovery();

 private:
  crypto::SealedJournal& opened();  // with mutex_ held

  const base::OwnerProcess owner_;
  const std::filesystem::path directory_;
  const crypto::JournalOptions options_;
  const crypto::KeyId key_;  // what is written is sealed with
  const crypto::KeyRing keys_;
  std::mutex mutex_;
  std::optional<crypto::SealedJournal> journal_;  // none after a failure
};

}  // namespace sluice::codec

#pragma GCC visibility pop
