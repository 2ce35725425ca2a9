// One process's half of a connection: a shared-memory region that its owner writes and its peer only reads.
//
// The owner creates a memfd, allocates every page, maps it for writing and then seals it against shrinking,
// growing, future writable mappings and further seals. From then on nobody, the owner's own other descriptors
// included, can truncate it, punch holes or map it for writing: the peer reads without fear of SIGBUS, and
// the owner knows that only its own mapping changes the bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "sluice/base/deadline.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/ring/error.hpp"
#include "sluice/ring/layout.hpp"

namespace sluice::ring {
class RegionMapping;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice::base {
class AtomicFile;
}

namespace sluice::ring {

/// What a new region is to be.
struct RegionOptions {
  std::uint64_t capacity = 1ULL << 20U;  ///< ring bytes: a power of two, 4 KiB .. 1 GiB
  /// Released bytes that stay readable whatever happens: a multiple of 8, 0 .. max_replay_window(capacity).
  std::uint64_t replay_window = 1ULL << 18U;
  Position first_position = 0;       ///< where the producer starts; a multiple of 8
  Sequence first_sequence = 1;       ///< number of its first record
  Position peer_first_position = 0;  ///< where the consumer starts in the peer's ring
  SessionId session{};
  std::uint64_t epoch = 0;
  std::uint32_t features = 0;
  RegionEnd end = RegionEnd::none;
  std::array<std::uint8_t, 16> boot{};
  std::uint64_t peer_epoch = 0;  ///< see SessionPeer
  /// Keeps the region in a file of this name, which outlives its processes and replaces what was there once
  /// it is complete. Such a region can't be sealed: the peer, and whoever else can write the file, is trusted
  /// not to change or truncate it (that would end in SIGBUS). Empty: anonymous, sealed memory.
  std::filesystem::path file{};
  /// Called before a complete file gets its name; what it throws leaves there what was there.
  std::function<void()> before_naming{};
};

/// What a peer's region is accepted as.
enum class Backing : std::uint8_t {
  sealed_memory,  ///< a memfd with all its seals: safe beside a hostile peer
  file,           ///< a file as well: for peers that are trusted
};

/// Throws sluice::errc::bad_option for a ring size or a replay window that no region can have.
void check_region_sizes(std::uint64_t capacity, std::uint64_t replay_window);

/// A region as its peer sees it: a checked private copy of the header, and untrusted memory.
struct PeerView {
  RegionHeader header;
  const ControlPage* control = nullptr;
  const std::byte* data = nullptr;  ///< capacity bytes, mapped twice in a row
};

/// A region as its owner sees it.
struct OwnView {
  RegionHeader header;
  ControlPage* control = nullptr;
  std::byte* data = nullptr;  ///< capacity bytes, mapped twice in a row

  /// The same mapping, for a consumer in the same process.
  operator PeerView() const noexcept { return {header, control, data}; }
};

/// The region that this process owns and writes. Thread-safety: immutable after creation; what the accessors
/// point to follows the rules in layout.hpp.
class OwnedRegion {
 public:
  /// Creates, allocates, maps and seals a region. Throws sluice::error: sluice::errc::bad_option for an
  /// option out of range, the errno of the system call (ENOMEM, ENOSPC, EMFILE ...) if there's no room.
  static OwnedRegion create(const RegionOptions& options);

  /// A region that continues `old`, whose owner has died or was replaced: the same ring,
  /// its retained records at the same positions, the producer at the true end of what was published, and
  /// `released` as the consumer's position. Session, epoch, features and file are taken from `options`. Throws
  /// as create(), errc::bad_region for a region that breaks a rule, and sluice::errc::timed_out.
  static OwnedRegion continue_from(const PeerView& old, const RegionOptions& options, Position released,
                                   Deadline deadline = kNoDeadline);

  OwnedRegion(OwnedRegion&&) noexcept;
  OwnedRegion& operator=(OwnedRegion&&) noexcept;
  ~OwnedRegion();

  /// Removes the region's file, if it has one and that is still the one under its name. Not in a forked
  /// child.
  void remove_file() noexcept;

  /// The descriptor to hand to the peer.
  int descriptor() const noexcept { return descriptor_.get(); }
  const OwnView& view() const noexcept { return view_; }

 private:
  OwnedRegion() noexcept;
  static OwnedRegion create_open(const RegionOptions& options);
  void close_up(const RegionOptions& options);

  Descriptor descriptor_;
  std::unique_ptr<RegionMapping> mapping_;
  std::unique_ptr<base::AtomicFile> draft_;  // until the region is complete; null for anonymous memory
  std::filesystem::path file_;               // empty for anonymous memory
  base::OwnerProcess owner_;
  OwnView view_;
};

/// The connections in which a region may have been made.
struct EpochRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  // NOLINTNEXTLINE(google-explicit-constructor): one epoch is the usual range
  constexpr EpochRange(std::uint64_t epoch) noexcept : EpochRange(epoch, epoch) {}
  constexpr EpochRange(std::uint64_t first_epoch, std::uint64_t last_epoch) noexcept
      : first(first_epoch), last(last_epoch) {}
};

/// The peer's region, mapped read-only. Everything in it is untrusted but header(), a private copy that was
/// checked. Thread-safety: immutable after opening.
class PeerRegion {
 public:
  /// Checks and maps; takes the descriptor if all is well. `accept` looks at the checked header before
  /// anything is mapped; what it throws is passed on. Throws sluice::error: errc::bad_region (not a
  /// memfd, seals missing, holes, sizes that contradict each other, another session or epoch),
  /// errc::bad_version, or the errno of the system call.
  static PeerRegion open(Descriptor&& descriptor, const SessionId& session, EpochRange epochs,
                         Backing backing = Backing::sealed_memory,
                         const std::function<void(const RegionHeader&)>& accept = {});

  /// The region that a process which has ended left in a file; of whichever session and epoch. It must belong
  /// to this user. Throws as open(), sluice::errc::unsafe_place for what is no such file, and the errno of
  /// opening it (ENOENT ...).
  static PeerRegion open_file(const std::filesystem::path& file);

  PeerRegion(PeerRegion&&) noexcept;
  PeerRegion& operator=(PeerRegion&&) noexcept;
  ~PeerRegion();

  int descriptor() const noexcept { return descriptor_.get(); }
  const PeerView& view() const noexcept { return view_; }

 private:
  PeerRegion() noexcept;
  static PeerRegion map(Descriptor&& descriptor, const RegionHeader& header);

  Descriptor descriptor_;
  std::unique_ptr<RegionMapping> mapping_;
  PeerView view_;
};

}  // namespace sluice::ring

#pragma GCC visibility pop
