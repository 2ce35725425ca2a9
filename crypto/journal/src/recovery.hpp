// Where a segment that its writer left behind ends: cleanly, torn by a crash, or damaged.
#pragma once

#include <cstdint>
#include <string>

#include "segment_file.hpp"

namespace sluice::crypto {

struct SegmentEnd {
  std::uint64_t offset = 0;         ///< end of the last good frame or mark
  std::uint64_t next_sequence = 0;  ///< after the last good record
  std::uint64_t torn_bytes = 0;     ///< what an interrupted write left after it
  bool closed = false;              ///< a mark stands there that says of all before it that it was durable
};

/// Finds the end of the newest segment. Reads the frame headers, and the bodies from the last durable
/// position on.
///
/// The first frame that can't be read is a torn tail if a crash explains it: nothing readable follows and the
/// file ends inside it or a disk sector of it was never written (is all zeros); or a sector was never written
/// and the frames that follow say themselves that nothing from here on was durable. Everything else is
/// damage: errc::corrupt.
SegmentEnd find_end(SegmentFile& segment);

/// Whether what stands at `offset` of the newest segment is a torn tail in the sense of find_end.
bool is_torn(const SegmentFile& segment, std::uint64_t offset);

/// The number after `records` more; errc::corrupt if there are no such numbers.
std::uint64_t sequence_after(const SegmentFile& segment, std::uint64_t offset, std::uint64_t sequence,
                             std::uint32_t records);

/// errc::corrupt if the segment is of another journal.
void check_identity(const SegmentFile& segment, const JournalId& journal);

/// Names segment, offset and what was found there.
[[noreturn]] void throw_corrupt(const SegmentFile& segment, std::uint64_t offset, const std::string& what);

}  // namespace sluice::crypto
