#include "sluice/crypto/journal/journal_reader.hpp"

#include <algorithm>
#include <exception>
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
  // Of a frame: its offset in the segment, and the number of its first record.
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t sequence = 0;
  };

  OpenDirectory directory;
  Keys keys;
  std::string context;
  std::uint64_t position;  // sequence number of the next record; 0: that of the oldest one, not known yet
  ReadUpTo reach;
  base::OwnerProcess owner{};
  std::exception_ptr failure{};

  std::optional<SegmentFile> segment{};
  std::uint64_t offset = 0;           // of the next frame,
  std::uint64_t sequence = 0;         // of its first record
  std::vector<std::byte> plain{};     // the records of the frame before it,
  std::span<const std::byte> rest{};  // those not handed out yet,
  std::uint32_t rest_records = 0;     // and how many that must be
  Place scanned{};                    // so far were frame headers looked at for what was durable,
  std::uint64_t durable = 0;          // which is all of this segment before this offset
  std::size_t listed = 0;             // segments that the last listing showed,
  std::size_t looks = 0;              // and looks for a newer one since then

  // ---- the place to start ----
  //
  // A listing may leave out what is added while it runs, and show what is gone by now. But it leaves out
  // nothing that was there before it.

  std::optional<SegmentFile> open(std::uint64_t first) const {
    return SegmentFile::find(directory, first, keys, context);
  }

  // The oldest segment; none if there is none.
  std::optional<SegmentFile> oldest() const {
    std::optional<SegmentFile> found;
    for (bool again = true; again;) {
      again = false;
      for (const std::uint64_t first : list_segments(directory)) {
        if (found && first >= found->header().first_sequence) break;
        again = true;
        if (auto opened = open(first)) {
          found.emplace(std::move(*opened));
          break;
        }
      }
    }
    return found;
  }

  // A segment that begins at or before `position`, the last one of those listed; none if there is none at all.
  std::optional<SegmentFile> holding() const {
    for (;;) {
      const auto segments = list_segments(directory);
      if (segments.empty()) return std::nullopt;
      const auto after = std::ranges::upper_bound(segments, position);
      if (after != segments.begin()) {
        if (auto opened = open(*std::prev(after))) return opened;
      } else if (const auto first = oldest(); first && first->header().first_sequence > position) {
        throw_gap(*first);
      }
    }
  }

  // False if there is no segment yet.
  bool start() {
    auto first = position == 0 ? oldest() : holding();
    if (!first) return false;
    if (const auto journal = directory.identity()) check_identity(*first, *journal);
    enter(std::move(*first));
    if (position == 0) position = sequence;
    if (sequence < position && read_frame() == Step::ended && sequence < position) {
      throw error(errc::gap, directory.path.string() + ": holds records before " + std::to_string(sequence) +
                                 ", asked for " + std::to_string(position));
    }
    return true;
  }

  void enter(SegmentFile next) {
    segment.emplace(std::move(next));
    offset = SegmentHeader::kSize;
    sequence = segment->header().first_sequence;
    scanned = {};
    durable = 0;
  }

  [[noreturn]] void throw_gap(const SegmentFile& first) const {
    throw error(errc::gap, directory.path.string() + ": holds records from " +
                               std::to_string(first.header().first_sequence) + ", asked for " +
                               std::to_string(position));
  }

  // ---- going on ----

  bool has_record() {
    if (!segment && !start()) return false;
    return rest_records > 0 || read_frame() == Step::opened;
  }

  enum class Step { passed, opened, ended, not_durable };

  // Opens the next frame that holds a record from `position` on, or says why not.
  Step read_frame() {
    for (;;) {
      Step step = read_on();
      if (step == Step::ended) {
        auto next = next_segment();
        if (!next && is_newest()) return step;
        step = read_on();  // what was written here before there was a newer one is here by now
        if (step == Step::ended) next ? go_on_in(std::move(*next)) : look_for_reason();
      }
      if (step == Step::opened || step == Step::not_durable) return step;
    }
  }

  // Passes over the next frame, or opens it. `ended`: it isn't there (yet), or only in part.
  Step read_on() {
    const FrameAt frame = segment->frame_at(offset);
    if (frame.state == FrameAt::State::whole) {
      const auto after = sequence_after(*segment, offset, sequence, frame.header.records);
      const bool wanted = after > position;
      if (wanted && reach == ReadUpTo::durable && !is_durable(offset + frame.size()))
        return Step::not_durable;
      if (!wanted || segment->open_frame(offset, frame.header, plain)) {
        offset += frame.size();
        sequence = after;
        if (!wanted) return Step::passed;
        rest = plain;
        rest_records = frame.header.records;
        while (sequence - rest_records < position) take_record();
        return Step::opened;
      }
    } else if (frame.state != FrameAt::State::bad) {
      return Step::ended;
    }
    if (is_torn(*segment, offset)) return Step::ended;
    if (segment->frame_at(offset) != frame) return Step::passed;  // a writer cut it off meanwhile
    throw_corrupt(*segment, offset, "a damaged frame, which no interrupted write explains");
  }

  // Whether all of this segment before `end` was synced. Frames and marks behind it say so; so does a segment
  // behind this one, which was synced before that was made.
  bool is_durable(std::uint64_t end) {
    if (scanned.offset < offset) scanned = {offset, sequence};
    while (durable < end) {
      const FrameAt frame = segment->frame_at(scanned.offset);
      if (frame.state == FrameAt::State::end && open(scanned.sequence)) {
        durable = scanned.offset;
        break;
      }
      if (frame.state != FrameAt::State::whole) break;
      durable = std::max(durable, frame.header.durable);
      scanned = {scanned.offset + frame.size(),
                 sequence_after(*segment, scanned.offset, scanned.sequence, frame.header.records)};
    }
    return durable >= end;
  }

  // The segment behind this one: its name is known, so there is nothing to search. A segment without records
  // is replaced by the next writer, under the same name.
  std::optional<SegmentFile> next_segment() const {
    auto next = open(sequence);
    if (next && next->is_same(*segment)) next.reset();
    return next;
  }

  // Whether nothing comes behind this segment. If it is still there, that is looked up in a listing, but only
  // once in as many looks as there are segments to list.
  bool is_newest() {
    if (!segment->is_in(directory)) return false;
    if (looks++ < listed) return true;
    const auto segments = list_segments(directory);
    looks = 0;
    listed = segments.size();
    return segments.empty() || segments.back() <= segment->header().first_sequence;
  }

  // Why the next segment isn't there, though this one isn't the newest. It may be by now.
  void look_for_reason() const {
    if (next_segment()) return;
    if (segment->is_in(directory)) {
      throw_corrupt(*segment, offset,
                    "ends before record " + std::to_string(sequence) + ", but there are newer segments");
    }
    // The oldest goes first: if this one was pruned, so was the one behind it.
    if (const auto first = oldest(); first && first->header().first_sequence > sequence) throw_gap(*first);
    throw_replaced();
  }

  void go_on_in(SegmentFile next) {
    const bool empty = sequence == segment->header().first_sequence;
    const bool ended = empty || segment->frame_at(offset).state == FrameAt::State::end;
    const auto link = empty ? segment->header().previous : link_to(segment->header());
    if (!ended || next.header().previous != link) {
      if (!segment->is_in(directory)) throw_replaced();
      if (!ended) throw_corrupt(*segment, offset, "a damaged frame, and there is a newer segment");
      throw_corrupt(next, 48, "this segment doesn't follow the one before it");
    }
    enter(std::move(next));
  }

  [[noreturn]] void throw_replaced() const {
    throw error(errc::replaced, directory.path.string() +
                                    ": the segment that held what comes before record " +
                                    std::to_string(position) + " is not there any more");
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
    const JournalRecord record{.sequence = sequence - rest_records, .bytes = rest.first(length)};
    rest = rest.subspan(length);
    --rest_records;
    if (rest_records == 0 && !rest.empty()) fail();
    return record;
  }
};

JournalReader::JournalReader(const std::filesystem::path& directory, const Keys& keys,
                             const std::string& context, std::uint64_t from_sequence, ReadUpTo reach)
    : state_(new State{.directory = OpenDirectory(directory),
                       .keys = keys,
                       .context = context,
                       .position = from_sequence,
                       .reach = reach}) {
  state_->start();
}
JournalReader::JournalReader(JournalReader&&) noexcept = default;
JournalReader& JournalReader::operator=(JournalReader&&) noexcept = default;
JournalReader::~JournalReader() = default;

std::optional<JournalRecord> JournalReader::next() {
  State& state = base::own(state_, "a reader of a journal");
  if (state.failure) std::rethrow_exception(state.failure);
  try {
    if (!state.has_record()) return std::nullopt;
    const auto record = state.take_record();
    state.position = record.sequence + 1;
    return record;
  } catch (...) {
    state.failure = std::current_exception();
    throw;
  }
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
