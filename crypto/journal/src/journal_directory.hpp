// A journal's directory as its one writer sees it: the lock, the segments, the recovered end.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "recovery.hpp"
#include "segment_codec.hpp"
#include "segment_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/uninherited_descriptor.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/key/key_ring.hpp"

namespace sluice::crypto {

class JournalDirectory {
 public:
  struct Segment {
    std::uint64_t first_sequence;
    std::uint64_t created_ns;
    std::uint64_t bytes;
  };

  /// A new segment, ready to be appended to.
  struct NewSegment {
    Descriptor fd;
    std::string path;
    SegmentKeys keys;
  };

  /// Creates the directory if need be, takes its lock, removes what killed writers left, checks the chain of
  /// segments and cuts a torn tail. Errors as SealedJournal's constructor.
  JournalDirectory(const std::filesystem::path& path, const Keys& keys, const JournalOptions& options);

  /// Gives up the lock: from here on the directory may be another writer's, and only the getters may be used.
  void unlock() { lock_.reset(); }

  const JournalRecovery& recovery() const { return recovery_; }
  const std::vector<Segment>& segments() const { return segments_; }

  /// Makes a segment that begins with this record, with a fresh salt, durable in the directory.
  NewSegment create_segment(const SecretKey& key, std::uint64_t first_sequence, const std::string& context);

  /// The newest segment has grown to this size.
  void set_newest_bytes(std::uint64_t bytes) { segments_.back().bytes = bytes; }

  std::size_t prune_to_bytes(std::uint64_t bytes);
  std::size_t prune_older_than(Duration age);
  std::size_t prune_before(std::uint64_t sequence);

  /// How many segments, from the oldest on, hold nothing younger than `age_ns`. Never all: the newest is
  /// written.
  static std::size_t count_older_than(std::span<const Segment> segments, std::uint64_t now_ns,
                                      std::uint64_t age_ns);

 private:
  void lock();
  void remove_leftovers() const;
  void sync_parent() const;
  void store_identity();
  void recover(const Keys& keys, const JournalOptions& options);
  std::uint64_t close_segment(const SegmentFile& segment, const SegmentEnd& end) const;
  std::size_t remove_oldest(std::size_t count);

  OpenDirectory directory_;
  base::UninheritedDescriptor lock_;
  JournalId identity_{};
  std::vector<Segment> segments_;         // by first sequence number
  std::array<std::byte, 16> previous_{};  // what the next segment's header links to
  JournalRecovery recovery_;
};

}  // namespace sluice::crypto
