// How far a consumer has come in a stream, and where that is kept between two runs of a program.
//
//   sluice::FileCheckpoints checkpoints("/var/lib/worker");
//   const sluice::LoadedCheckpoint last = checkpoints.load("orders");
//   if (last.state == sluice::CheckpointState::found) resume_behind(last.checkpoint.sequence);
//   ...
//   checkpoints.store("orders", {.session = session, .sequence = handled, .position = next});
//
// Checkpoints expire. Age: how old the checkpoint was when it was stored (its `time` lying in the future
// counts as no age), plus the time since then. That second part comes from the clock that counts since the
// boot and never jumps, so setting the wall clock neither expires a checkpoint nor keeps it alive. Only a
// file that survived a reboot is measured by the wall clock, and is at least as old as the present boot: with
// a wrong clock, too, it expires at the latest when the machine has run for the expiry time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "sluice/base/deadline.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/ipc/checkpoint/checkpoint_error.hpp"
#include "sluice/ring/layout.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Names one of a session's streams; the application's choice, all zero where there's only one.
using StreamId = std::array<std::uint8_t, 16>;

/// What a consumer has to know in order to go on.
struct StreamCheckpoint {
  ring::SessionId session{};
  StreamId stream{};
  ring::Sequence sequence = 0;  ///< the last record that was consumed; 0: none yet
  ring::Position position = 0;  ///< where the record after it starts
  std::string target{};         ///< what the application says about its own side; at most kMaxTargetBytes
  std::chrono::system_clock::time_point time = std::chrono::system_clock::now();  ///< not before 1970

  friend bool operator==(const StreamCheckpoint&, const StreamCheckpoint&) = default;
};

inline constexpr std::size_t kMaxTargetBytes = 4096;

enum class CheckpointState : std::uint8_t {
  missing,  ///< nothing is stored under this key
  found,
  expired,  ///< too old to resume from; the checkpoint still says what it was
};

struct LoadedCheckpoint {
  CheckpointState state = CheckpointState::missing;
  StreamCheckpoint checkpoint{};   ///< meaningful unless missing
  std::chrono::nanoseconds age{};  ///< meaningful unless missing
};

/// Three readings of the same moment. `since_boot` never jumps and goes on while the machine is suspended.
struct CheckpointMoment {
  std::chrono::system_clock::time_point wall;
  std::chrono::nanoseconds since_boot;
  std::array<std::uint8_t, 16> boot;  ///< changes with every boot
};

/// The system's clocks; for tests anything else. Called from the threads that use the storage.
using CheckpointClock = std::function<CheckpointMoment()>;
CheckpointMoment checkpoint_moment();

struct CheckpointOptions {
  /// A checkpoint of this age is expired; more than zero.
  Duration expiry = std::chrono::seconds(300);
  CheckpointClock clock = checkpoint_moment;
};

/// Where checkpoints are kept. Keys follow the rules of channel names: 1 to 64 bytes of A-Z a-z 0-9 . _ -,
/// not beginning with a dot (errc::bad_name). Implementations may be called from any thread. In a forked
/// child those of this header throw errc::misuse: what the parent stored is the parent's.
class CheckpointStorage {
 public:
  CheckpointStorage() = default;
  CheckpointStorage(const CheckpointStorage&) = delete;
  CheckpointStorage& operator=(const CheckpointStorage&) = delete;
  virtual ~CheckpointStorage() = default;

  /// Replaces what is stored under the key. If it throws, what was there before is still there. Refuses a
  /// target of more than kMaxTargetBytes and a time before 1970 (errc::bad_option).
  virtual void store(std::string_view key, const StreamCheckpoint& checkpoint) = 0;

  virtual LoadedCheckpoint load(std::string_view key) const = 0;

  /// Forgets the checkpoint; false if there was none.
  virtual bool remove(std::string_view key) = 0;
};

/// Checkpoints that live as long as this object.
class MemoryCheckpoints final : public CheckpointStorage {
 public:
  /// `max_count`: that many keys, at least 1. Throws errc::bad_option.
  explicit MemoryCheckpoints(CheckpointOptions options = {}, std::size_t max_count = 1024);

  /// Where all places are taken, the expired checkpoints are dropped; without one, a new key is refused
  /// (ENOSPC).
  void store(std::string_view key, const StreamCheckpoint& checkpoint) override;
  LoadedCheckpoint load(std::string_view key) const override;
  bool remove(std::string_view key) override;

 private:
  struct Entry {
    StreamCheckpoint checkpoint;
    std::chrono::nanoseconds age;         // when it was stored
    std::chrono::nanoseconds since_boot;  // when it was stored
  };

  std::chrono::nanoseconds age_of(const Entry& entry) const;

  const base::OwnerProcess owner_;
  const CheckpointOptions options_;
  const std::size_t max_count_;
  mutable std::mutex mutex_;  // guards entries_
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Checkpoints in a directory, one file for each key (KEY.checkpoint, mode 0600). A process may be killed,
/// and the power may fail, at any moment: the file is the old one or the new one. Each store waits for the
/// disk twice. Several processes may use one directory; for one key the last store wins.
///
/// The file, little-endian numbers:
///
///   offset  bytes                     offset  bytes
///   0       8   "SLUICE\0C"           72      16  boot id           when
///   8       4   version, 1            88      8   ns since boot     it was
///   12      4   bytes of the file     96      8   age, ns           stored
///   16      16  session               104     4   bytes of the key
///   32      16  stream                108     4   bytes of the target
///   48      8   sequence              112         key, target
///   56      8   position              last 4      CRC-32C of everything before
///   64      8   time, ns since 1970
class FileCheckpoints final : public CheckpointStorage {
 public:
  /// The directory must exist, belong to this user or root, and nobody else may write to it
  /// (errc::unsafe_place). Removes what killed writers left behind. Throws errc::bad_option.
  explicit FileCheckpoints(const std::filesystem::path& directory, CheckpointOptions options = {});

  void store(std::string_view key, const StreamCheckpoint& checkpoint) override;

  /// A file that is damaged, or isn't the checkpoint of this key: checkpoint_errc::bad_checkpoint; of a
  /// later version: checkpoint_errc::bad_version. It stays until it is replaced or removed.
  LoadedCheckpoint load(std::string_view key) const override;
  bool remove(std::string_view key) override;

 private:
  const base::OwnerProcess owner_;
  const CheckpointOptions options_;
  const std::filesystem::path path_;  // for messages
  const Descriptor directory_;
};

}  // namespace sluice

#pragma GCC visibility pop
