#include "sluice/ring/history.hpp"

#include <atomic>
#include <cstring>
#include <utility>

#include "patience.hpp"
#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ring {
namespace {

std::uint64_t load_header(const PeerView& peer, Position position) noexcept {
  const std::byte* place = peer.data + (position & (peer.header.capacity - 1));
  // atomic_ref takes no const type in C++20; only load() is called, which writes nothing.
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(place)))
      .load(std::memory_order_acquire);  // [PUBLISH] pairs with Producer::publish
}

/// The number nearest to `about` whose low half is `low`.
Sequence nearest_sequence(Sequence about, std::uint32_t low) noexcept {
  const auto distance = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(about));
  return about + static_cast<Sequence>(static_cast<std::int64_t>(distance));
}

}  // namespace

HistoryReader::HistoryReader(const PeerView& peer, std::shared_ptr<const void> mapping) noexcept
    : mapping_(std::move(mapping)),
      peer_(peer),
      max_payload_bytes_(ring::max_payload_bytes(peer.header.capacity, peer.header.replay_window)),
      place_(oldest()) {}

RecordPlace HistoryReader::oldest() const noexcept {
  const Position position = peer_.control->history.oldest.load(std::memory_order_acquire);
  const Sequence about = peer_.control->history.oldest_sequence.load(std::memory_order_relaxed);
  const std::uint64_t header = load_header(peer_, position & ~(kRecordAlign - 1));
  // The two words are written one after the other, so the number may belong to another boundary; the record
  // itself carries the low half of the right one. No record there: nothing was ever published behind the
  // number.
  const Sequence sequence =
      header == 0 ? about : nearest_sequence(about, static_cast<std::uint32_t>(header >> 32U));
  return {position & ~(kRecordAlign - 1), sequence};
}

bool HistoryReader::still_intact() const noexcept {
  acquire_barrier();  // [OLDEST] what was copied before is compared with an oldest read after
  return !before(place_.position, peer_.control->history.oldest.load(std::memory_order_relaxed));
}

Status HistoryReader::check_header(std::uint64_t& payload_bytes) const noexcept {
  if (owner_.inherited()) return Status::forked;
  const std::uint64_t header = load_header(peer_, place_.position);
  const std::uint64_t bytes = header ^ make_header(0, place_.sequence);
  if (!still_intact()) return Status::overwritten;
  if (header == 0) return Status::would_block;
  if (bytes > max_payload_bytes_) return Status::broken;
  payload_bytes = bytes;
  return Status::ok;
}

/// Goes from the oldest record to the first place for which `found` holds: ok. would_block: it holds for
/// none, and the place is where the next record will start. overwritten: a producer that laps us won every
/// race.
template <typename Found>
Status HistoryReader::walk(Found found) noexcept {
  // Without its consumer, whose releases it needs, a producer can win only so many; and only so many bytes. It may well
  // publish more than a lap in front of us while we walk: what is behind us may have been released.
  constexpr std::uint64_t kAttempts = 2 * kMarksPerLap;
  constexpr std::uint64_t kMostLaps = 4;
  Patience patience(deadline_);
  std::uint64_t bytes_left = kMostLaps * peer_.header.capacity;
  Status status = Status::overwritten;
  for (std::uint64_t attempt = 0; attempt < kAttempts && status == Status::overwritten; ++attempt) {
    place_ = oldest();
    for (;;) {
      std::uint64_t bytes = 0;
      status = check_header(bytes);
      if (status != Status::ok && status != Status::would_block) break;
      if (found(place_)) return Status::ok;
      if (status == Status::would_block) break;
      const std::uint64_t step = record_bytes(bytes);
      place_ = {place_.position + step, place_.sequence + 1};
      if (patience.is_over()) return Status::timed_out;
      if (bytes_left < step) return Status::overwritten;
      bytes_left -= step;
    }
  }
  return status;
}

Status HistoryReader::seek(Sequence sequence) noexcept {
  const Status status = walk([&](const RecordPlace& place) { return !before(place.sequence, sequence); });
  return status == Status::ok && place_.sequence != sequence ? Status::overwritten : status;
}

Status HistoryReader::seek_position(Position position) noexcept {
  RecordPlace first = oldest();
  const Status status = walk([&](const RecordPlace& place) {
    if (before(place.position, position)) first = place;
    return !before(place.position, position);
  });
  if (status == Status::would_block) return Status::broken;  // ahead of the tail
  if (status != Status::ok || place_.position == position) return status;
  return before(first.position, position) ? Status::broken : Status::overwritten;
}

Status HistoryReader::seek_end() noexcept {
  const Status status = walk([](const RecordPlace&) { return false; });
  return status == Status::would_block ? Status::ok : status;
}

Status HistoryReader::next(std::vector<std::byte>& payload, Sequence& sequence) {
  std::uint64_t bytes = 0;
  const Status status = check_header(bytes);
  if (status != Status::ok) return status;
  const std::byte* start = peer_.data + (place_.position & (peer_.header.capacity - 1)) + kRecordHeaderBytes;
  payload.assign(start, start + bytes);
  if (!still_intact()) return Status::overwritten;
  sequence = place_.sequence;
  place_ = {place_.position + record_bytes(bytes), place_.sequence + 1};
  return Status::ok;
}

}  // namespace sluice::ring
