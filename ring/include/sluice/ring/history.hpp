// Records that are still in a ring, read beside the live stream and without disturbing it.
//
//   HistoryReader history(peer_region.view());
//   if (history.seek(1200) == Status::ok) {
//     while (history.next(copy, sequence) == Status::ok) use(sequence, copy);
//   }
//
// The producer overwrites old records without asking readers of history. Each record is therefore copied
// first, and the copy is handed out only if `oldest` shows afterwards that the record was still intact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/status.hpp"
#include "sluice/ring/layout.hpp"
#include "sluice/ring/region.hpp"

#pragma GCC visibility push(default)

namespace sluice::ring {

/// The first intact record of a ring.
struct RecordPlace {
  Position position = 0;
  Sequence sequence = 0;
};

/// Thread-safety: one thread at a time; any number of readers beside producer and consumer. The mapping must
/// outlive it. In a forked child every call that returns a status says forked.
class HistoryReader {
 public:
  /// This reader keeps `mapping` while it lives: the peer's region may be replaced meanwhile.
  explicit HistoryReader(const PeerView& peer, std::shared_ptr<const void> mapping = {}) noexcept;

  /// The searches below end at this time at the latest, with timed_out. Without it a producer that writes
  /// against us can make one last for several seconds.
  void give_up_at(Deadline deadline) noexcept { deadline_ = deadline; }

  /// Data bytes of the ring: about so many of what was written last are intact.
  std::uint64_t capacity_bytes() const noexcept { return peer_.header.capacity; }
  /// Where the oldest intact record starts, or where the next one will if there is none.
  RecordPlace oldest() const noexcept;

  /// Goes to the record with this number, or to where the next one to be published will start. overwritten:
  /// it is no longer there; would_block: it isn't published yet; broken: the records on the way break a rule.
  Status seek(Sequence sequence) noexcept;

  /// Goes to where the next record to be published will start. overwritten: the producer laps us; broken.
  Status seek_end() noexcept;

  /// Goes to the record that starts at `position`, or to where the next one to be published will start.
  /// overwritten: it is no longer there; broken: no record starts there.
  Status seek_position(Position position) noexcept;

  /// Copies the next record into `payload`. would_block: it isn't published yet; overwritten: before it could
  /// be copied (seek again); broken.
  Status next(std::vector<std::byte>& payload, Sequence& sequence);

  /// The record that next() gives next.
  RecordPlace place() const noexcept { return place_; }

 private:
  template <typename Found>
  Status walk(Found found) noexcept;
  /// Reads and checks the header at the present place: ok with the payload's size.
  Status check_header(std::uint64_t& payload_bytes) const noexcept;
  bool still_intact() const noexcept;

  base::OwnerProcess owner_;
  std::shared_ptr<const void> mapping_;
  PeerView peer_;
  std::uint64_t max_payload_bytes_;
  RecordPlace place_;
  Deadline deadline_ = kNoDeadline;
};

}  // namespace sluice::ring

#pragma GCC visibility pop
