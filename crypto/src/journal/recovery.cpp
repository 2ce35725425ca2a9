#include "journal/recovery.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "sluice/crypto/error.hpp"

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
    const auto part = std::span(window).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), size - start)));
    segment.read_at(start, part);
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
    const auto part = std::span(sector).first(static_cast<std::size_t>(stop - begin));
    segment.read_at(begin, part);
    if (std::ranges::all_of(part, [](std::byte byte) { return byte == std::byte{0}; })) return true;
    begin = stop;
  }
  return false;
}

struct Position {
  std::uint64_t offset;
  std::uint64_t sequence;
  FrameHeader header;
};

}  // namespace

void throw_corrupt(const SegmentFile& segment, std::uint64_t offset, const std::string& what) {
  throw error(errc::corrupt, segment.path() + ": at byte " + std::to_string(offset) + ": " + what);
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

SegmentEnd find_end(SegmentFile& segment) {
  std::uint64_t offset = SegmentHeader::kSize;
  std::uint64_t sequence = segment.header().first_sequence;
  std::uint64_t durable = 0;
  std::vector<Position> doubtful;  // frames that may not have been durable
  FrameAt frame = segment.frame_at(offset);
  for (; frame.state == FrameAt::State::whole; frame = segment.frame_at(offset)) {
    if (frame.header.durable > durable) {
      durable = frame.header.durable;
      std::erase_if(doubtful, [&](const Position& earlier) { return earlier.offset < durable; });
    }
    doubtful.push_back({offset, sequence, frame.header});
    offset += frame.size();
    sequence += frame.header.records;
  }
  bool clean = frame.state == FrameAt::State::end;
  std::vector<std::byte> plain;
  for (const Position& position : doubtful) {
    if (segment.open_frame(position.offset, position.header, plain)) continue;
    offset = position.offset;
    sequence = position.sequence;
    clean = false;
    break;
  }
  SegmentEnd end{.offset = offset, .next_sequence = sequence, .torn_bytes = 0};
  if (clean) return end;
  if (!is_torn(segment, offset))
    throw_corrupt(segment, offset, "a damaged frame, which no interrupted write explains");
  end.torn_bytes = segment.size() - offset;
  return end;
}

}  // namespace sluice::crypto
