#include "sluice/crypto/journal/journal_reader.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "recovery.hpp"
#include "segment_file.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {

struct JournalReader::State {
  OpenDirectory directory;
  Keys keys;
  std::string context;
  std::uint64_t position = 0;  // sequence number of the next record
  base::OwnerProcess owner;

  std::optional<SegmentFile> segment;
  std::uint64_t offset = 0;           // of the next frame
  std::uint64_t frame_sequence = 0;   // of its first record
  std::vector<std::byte> plain;       // the current frame's records,
  std::span<const std::byte> rest{};  // those not handed out yet,
  std::uint32_t rest_records = 0;     // and how many that must be

  State(const std::filesystem::path& place, const Keys& given, std::string chosen)
      : directory(place), keys(given), context(std::move(chosen)) {}

  // ---- finding the place ----

  void start(std::uint64_t from) {
    const auto segments = list_segments(directory);
    if (segments.empty()) {
      position = from;
      return;  // nothing was ever written: next() looks again
    }
    position = from == 0 ? segments.front() : from;
    if (position < segments.front()) throw_gap(segments.front());
    enter(*std::prev(std::ranges::upper_bound(segments, position)));
    while (frame_sequence < position && skip_or_open()) {
    }
    if (position > frame_sequence && rest_records == 0) {
      throw error(errc::gap, directory.path.string() + ": holds records before " +
                                 std::to_string(frame_sequence) + ", asked for " + std::to_string(position));
    }
  }

  // Passes over a whole frame without opening it, or opens the one that holds `position` and skips inside it.
  bool skip_or_open() {
    const auto frame = segment->frame_at(offset);
    if (frame.state == FrameAt::State::whole) {
      const std::uint64_t after = sequence_after(*segment, offset, frame_sequence, frame.header.records);
      if (after <= position) {
        offset += frame.size();
        frame_sequence = after;
        return true;
      }
    }
    const std::uint64_t wanted = std::exchange(position, frame_sequence);
    const bool opened = read_frame();
    while (opened && position < wanted) take_record();
    position = wanted;
    return false;
  }

  void enter(std::uint64_t first_sequence) {
    try {
      segment.emplace(directory, first_sequence, keys, context);
    } catch (const error& failure) {
      if (failure.code() != std::errc::no_such_file_or_directory) throw;
      const auto segments = list_segments(directory);  // pruned since it was listed
      throw_gap(segments.empty() ? position : segments.front());
    }
    offset = SegmentHeader::kSize;
    frame_sequence = first_sequence;
    rest = {};
    rest_records = 0;
  }

  [[noreturn]] void throw_gap(std::uint64_t oldest) const {
    throw error(errc::gap, directory.path.string() + ": holds records from " + std::to_string(oldest) +
                               ", asked for " + std::to_string(position));
  }

  // ---- going on ----

  bool next_frame() {
    if (!segment) {
      start(position);
      if (!segment) return false;
      if (rest_records > 0) return true;
    }
    if (read_frame()) return true;
    // The end of this segment. Whether there is a newer one is looked up before a last look at this one's
    // end, since a writer first finishes the old.
    const auto segments = list_segments(directory);
    const auto newer = std::ranges::upper_bound(segments, segment->header().first_sequence);
    if (read_frame()) return true;
    if (newer == segments.end()) return same_segment_replaced() && read_frame();
    if (*newer != position || segment->frame_at(offset).state != FrameAt::State::end)
      throw_hole(segments, *newer);
    const auto previous = segment->header().commitment;
    const bool records_before = offset > SegmentHeader::kSize;
    enter(*newer);
    const auto& link = segment->header().previous;
    if (records_before && !std::equal(link.begin(), link.end(), previous.begin())) {
      throw_corrupt(*segment, 48, "this segment doesn't follow the one before it");
    }
    return read_frame();
  }

  [[noreturn]] void throw_hole(const std::vector<std::uint64_t>& segments, std::uint64_t newer) const {
    if (position < segments.front()) throw_gap(segments.front());
    throw_corrupt(*segment, offset,
                  "ends before record " + std::to_string(position) + ", but the next segment starts with " +
                      std::to_string(newer));
  }

  // A segment without records is replaced by the next writer, under the same name and with another salt.
  bool same_segment_replaced() {
    if (offset != SegmentHeader::kSize) return false;
    const auto before = segment->header().salt;
    enter(segment->header().first_sequence);
    return segment->header().salt != before;
  }

  // Opens the next frame of this segment; false if it isn't there (yet), or only in part.
  bool read_frame() {
    const auto frame = segment->frame_at(offset);
    switch (frame.state) {
      case FrameAt::State::whole:
        if (!segment->open_frame(offset, frame.header, plain)) break;
        frame_sequence = sequence_after(*segment, offset, frame_sequence, frame.header.records);
        rest = plain;
        rest_records = frame.header.records;
        offset += frame.size();
        return true;
      case FrameAt::State::end:
      case FrameAt::State::incomplete:
        return false;
      case FrameAt::State::bad:
        break;
    }
    if (is_torn(*segment, offset)) return false;
    throw_corrupt(*segment, offset, "a damaged frame, which no interrupted write explains");
  }

  JournalRecord take_record() {
    // Authentic, so written by a holder of the key; checked all the same.
    const auto fail = [&] {
      throw_corrupt(*segment, offset, "the frame before has records of impossible lengths");
    };
    if (rest.size() < FrameHeader::kRecordPrefix) fail();
    const auto length = base::load_le<std::uint32_t>(rest, 0);
    rest = rest.subspan(FrameHeader::kRecordPrefix);
    if (length > rest.size()) fail();
    const JournalRecord record{.sequence = position, .bytes = rest.first(length)};
    rest = rest.subspan(length);
    --rest_records;
    if (rest_records == 0 && !rest.empty()) fail();
    ++position;
    return record;
  }
};

JournalReader::JournalReader(const std::filesystem::path& directory, const Keys& keys,
                             const std::string& context, std::uint64_t from_sequence)
    : state_(std::make_unique<State>(directory, keys, context)) {
  state_->start(from_sequence);
}
JournalReader::JournalReader(JournalReader&&) noexcept = default;
JournalReader& JournalReader::operator=(JournalReader&&) noexcept = default;
JournalReader::~JournalReader() = default;

std::optional<JournalRecord> JournalReader::next() {
  State& state = base::own(state_, "a reader of a journal");
  if (state.rest_records == 0 && !state.next_frame()) return std::nullopt;
  return state.take_record();
}

std::uint64_t JournalReader::position() const {
  return base::held(state_, "a reader of a journal").position;
}

std::uint64_t verify_journal(const std::filesystem::path& directory, const Keys& keys,
                             const std::string& context) {
  JournalReader reader(directory, keys, context);
  std::uint64_t records = 0;
  while (reader.next()) ++records;
  return records;
}

}  // namespace sluice::crypto
