#include "recovery.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::uint64_t kSector = 512;  // the smallest unit that a disk writes or doesn't
constexpr std::size_t kScanBytes = std::size_t{64} << 10U;

struct Later {
  bool any = false;           // an authentic frame header stands there
  std::uint64_t durable = 0;  // the furthest durable position that one of them names
};

// The frame headers after `from`. Byte by byte: only after damage, and never over a healthy segment.
Later find_later(const SegmentFile& segment, std::uint64_t from) {
  Later later;
  const std::uint64_t size = segment.size();
  std::vector<std::byte> window(kScanBytes + FrameHeader::kSize - 1);
  for (std::uint64_t start = from; start + FrameHeader::kSize <= size; start += kScanBytes) {
    const auto part = segment.read_at(start, window);
    for (std::size_t i = 0; i + FrameHeader::kSize <= part.size(); ++i) {
      const auto header = segment.keys().decode(part.subspan(i).first<FrameHeader::kSize>(), start + i);
      if (!header) continue;
      later.any = true;
      later.durable = std::max(later.durable, header->durable);
    }
  }
  return later;
}

// Whether some sector (its part inside the range) is all zeros.
bool has_unwritten_sector(const SegmentFile& segment, std::uint64_t begin, std::uint64_t end) {
  std::array<std::byte, kSector> sector{};
  while (begin < end) {
    const std::uint64_t stop = std::min(end, (begin / kSector + 1) * kSector);
    const auto part = segment.read_at(begin, std::span(sector).first(static_cast<std::size_t>(stop - begin)));
    if (part.empty()) return false;
    if (std::ranges::all_of(part, [](std::byte byte) { return byte == std::byte{0}; })) return true;
    begin = stop;
  }
  return false;
}

struct Position {
  std::uint64_t offset;
  std::uint64_t sequence;
};

// From frame to frame, from the first one on, as far as they are whole and `good`; where that ends.
template <typename Good>
Position walk(const SegmentFile& segment, Good good) {
  Position at{.offset = SegmentHeader::kSize, .sequence = segment.header().first_sequence};
  auto frame = segment.frame_at(at.offset);
  while (frame.state == FrameAt::State::whole && good(at.offset, frame.header)) {
    at = {.offset = at.offset + frame.size(),
          .sequence = sequence_after(segment, at.offset, at.sequence, frame.header.records)};
    frame = segment.frame_at(at.offset);
  }
  return at;
}

}  // namespace

void throw_corrupt(const SegmentFile& segment, std::uint64_t offset, const std::string& what) {
  throw error(errc::corrupt, segment.path() + ": at byte " + std::to_string(offset) + ": " + what);
}

std::uint64_t sequence_after(const SegmentFile& segment, std::uint64_t offset, std::uint64_t sequence,
                             std::uint32_t records) {
  std::uint64_t after = 0;
  if (__builtin_add_overflow(sequence, records, &after))
    throw_corrupt(segment, offset, "a frame with records beyond the last sequence number");
  return after;
}

void check_identity(const SegmentFile& segment, const JournalId& journal) {
  if (segment.header().journal != journal) throw_corrupt(segment, 24, "this segment is of another journal");
}

bool is_torn(const SegmentFile& segment, std::uint64_t offset) {
  const auto frame = segment.frame_at(offset);
  const std::uint64_t size = segment.size();
  // A header that can't be trusted gives no length: then its own sectors must show the tear.
  std::uint64_t end = std::min(size, offset + FrameHeader::kSize);
  if (frame.state == FrameAt::State::whole || frame.header.length > 0)
    end = std::min(size, offset + frame.size());
  const bool unwritten = has_unwritten_sector(segment, offset, end);
  const Later later = find_later(segment, offset + 1);
  if (later.any) return unwritten && later.durable <= offset;
  return unwritten || frame.state == FrameAt::State::incomplete;
}

// What a mark says was durable is read all the same: that is what came last. Walks twice: a frame near the end may say of all before it that they were durable. Keeping the positions
// of the frames instead would take memory for each of them.
SegmentEnd find_end(SegmentFile& segment) {
  std::uint64_t durable = 0;
  walk(segment, [&](std::uint64_t, const FrameHeader& header) {
    if (!header.is_mark()) durable = std::max(durable, header.durable);
    return true;
  });
  std::vector<std::byte> plain;
  bool closed = false;
  const Position last = walk(segment, [&](std::uint64_t offset, const FrameHeader& header) {
    closed = header.is_mark() && header.durable == offset;
    return header.is_mark() || offset < durable || segment.open_frame(offset, header, plain);
  });
  SegmentEnd end{.offset = last.offset, .next_sequence = last.sequence, .closed = closed};
  if (segment.frame_at(end.offset).state == FrameAt::State::end) return end;
  if (!is_torn(segment, end.offset))
    throw_corrupt(segment, end.offset, "a damaged frame, which no interrupted write explains");
  end.torn_bytes = segment.size() - end.offset;
  return end;
}

}  // namespace sluice::crypto
