// Going on where the region of a dead or replaced process ends.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>

#include "patience.hpp"
#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/error.hpp"
#include "sluice/ring/history.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ring {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw error(errc::bad_region, "the region to go on from: " + what);
}

[[noreturn]] void throw_late() {
  throw error(sluice::errc::timed_out, "the region to go on from couldn't be read in time");
}

/// Where the records of a ring begin and end.
struct Extent {
  RecordPlace oldest;
  RecordPlace end;
};

/// [COPY] Finds the true end: not the stored tail, which a killed producer may have left behind its last
/// record, but the first header that is zero.
Extent find_records(const PeerView& old, Deadline deadline) {
  HistoryReader reader(old);
  reader.give_up_at(deadline);
  const RecordPlace oldest = reader.oldest();
  const Status status = reader.seek_end();
  if (status == Status::timed_out) throw_late();
  if (status != Status::ok)
    refuse("expected consecutive records up to the tail, got one that is " + std::string(to_string(status)));
  const RecordPlace end = reader.place();
  if (end.position - oldest.position > old.header.capacity - kRecordHeaderBytes) {
    refuse("expected records of less than " + std::to_string(old.header.capacity) + " bytes, got " +
           std::to_string(end.position - oldest.position));
  }
  return {oldest, end};
}

/// Copies the records, whose owner may not stand still if it was replaced while it lived: false if it began
/// to overwrite them meanwhile.
bool copy_records(const PeerView& old, const OwnView& fresh, const Extent& extent, Deadline deadline) {
  constexpr std::uint64_t kAtOnce = 1U << 22U;
  const std::uint64_t place = extent.oldest.position & (old.header.capacity - 1);
  const std::uint64_t bytes = extent.end.position - extent.oldest.position;
  for (std::uint64_t done = 0; done < bytes; done += kAtOnce) {
    if (std::chrono::steady_clock::now() >= deadline) throw_late();
    std::memcpy(fresh.data + place + done, old.data + place + done, std::min(kAtOnce, bytes - done));
  }
  acquire_barrier();  // [OLDEST] what was copied before is compared with an oldest read after
  return old.control->history.oldest.load(std::memory_order_relaxed) == extent.oldest.position;
}

/// What was copied is in our own memory now and stays as it is: only now it can be trusted.
void check_records(const OwnView& fresh, const Extent& extent, Deadline deadline) {
  Patience patience(deadline);
  const std::uint64_t largest = max_payload_bytes(fresh.header.capacity, fresh.header.replay_window);
  RecordPlace place = extent.oldest;
  while (before(place.position, extent.end.position)) {
    std::uint64_t header = 0;
    std::memcpy(&header, fresh.data + (place.position & (fresh.header.capacity - 1)), sizeof header);
    const std::uint64_t bytes = header ^ make_header(0, place.sequence);
    if (bytes > largest) refuse("expected record " + std::to_string(place.sequence) + ", got another header");
    place = {place.position + record_bytes(bytes), place.sequence + 1};
    if (patience.is_over()) throw_late();
  }
  if (place.position != extent.end.position || place.sequence != extent.end.sequence)
    refuse("expected the last record to end at the tail");
}

}  // namespace

OwnedRegion OwnedRegion::continue_from(const PeerView& old, const RegionOptions& options, Position released,
                                       Deadline deadline) {
  // A replaced producer whose releases nobody makes any more can move its oldest record only so often.
  constexpr std::uint64_t kAttempts = 2 * kMarksPerLap;
  for (std::uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
    const Extent extent = find_records(old, deadline);
    RegionOptions fresh = options;
    fresh.capacity = old.header.capacity;
    fresh.replay_window = old.header.replay_window;
    fresh.first_position = extent.end.position;
    fresh.first_sequence = extent.end.sequence;
    fresh.peer_first_position = released;
    OwnedRegion region = create_open(fresh);
    if (!copy_records(old, region.view_, extent, deadline)) continue;
    check_records(region.view_, extent, deadline);
    // Relaxed: nobody else has the region yet.
    region.view_.control->history.oldest.store(extent.oldest.position, std::memory_order_relaxed);
    region.view_.control->history.oldest_sequence.store(extent.oldest.sequence, std::memory_order_relaxed);
    region.close_up(options);
    return region;
  }
  refuse("expected its owner to stand still, got records overwritten again and again");
}

}  // namespace sluice::ring
