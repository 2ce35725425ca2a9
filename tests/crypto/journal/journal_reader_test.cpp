// A reader beside a writer: whatever the writer does, and whenever, the reader gets every record once, in
// order, or is told why it can't.
#include "sluice/crypto/journal/journal_reader.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "between_calls.hpp"
#include "segment_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

const JournalOptions kManual{.sync = SyncPolicy::none};

Bytes record(std::uint64_t number) {
  return pattern(2000 + number % 50, static_cast<std::uint32_t>(number + 1));
}

class JournalReaders : public testing::Test {
 protected:
  void SetUp() override {
    base::file_ops().fsync = [](int) { return 0; };
  }
  void TearDown() override { base::file_ops() = saved_; }

  // Each in a segment of its own.
  static void append(SealedJournal& journal, int records) {
    for (int i = 0; i < records; ++i) {
      journal.append(record(journal.next_sequence()));
      journal.roll();
    }
  }
  void append(int records) const {
    SealedJournal journal(place_, key_, kManual);
    append(journal, records);
  }

  std::filesystem::path segment(std::uint64_t first) const { return place_ / segment_name(first); }

  // What a writer leaves that is killed between a segment's header and the end of its first frame.
  void leave_segment_without_records(std::size_t bytes) const {
    append(1);
    std::filesystem::resize_file(last_segment(), bytes);
  }
  std::filesystem::path last_segment() const { return segment(list_segments(OpenDirectory(place_)).back()); }

  // Reads what there is, and checks it.
  static void read_on(JournalReader& reader) {
    while (const auto next = reader.next()) {
      ASSERT_EQ(Bytes(next->bytes.begin(), next->bytes.end()), record(next->sequence));
      ASSERT_EQ(reader.position(), next->sequence + 1);
    }
  }
  static void read_up_to(JournalReader& reader, std::uint64_t position) {
    const std::uint64_t before = reader.position();
    read_on(reader);
    EXPECT_GE(reader.position(), before);
    EXPECT_EQ(reader.position(), position);
  }

  // Reads on while `action` runs before the call with this number, and then again. False if there are not so
  // many calls.
  static bool read_around(JournalReader& reader, std::uint64_t nth, const std::function<void()>& action) {
    bool happened = false;
    {
      const BetweenCalls between(nth, action);
      read_on(reader);
      happened = between.happened();
    }
    if (happened) read_on(reader);
    return happened;
  }

  void put_back(const std::filesystem::path& backup) const {
    for (const auto& entry : std::filesystem::directory_iterator(place_)) std::filesystem::remove(entry);
    for (const auto& entry : std::filesystem::directory_iterator(backup))
      std::filesystem::copy_file(entry, place_ / entry.path().filename().string());
  }

  ScratchDirectory scratch_;
  std::filesystem::path place_ = scratch_ / "journal";
  SecretKey key_ = test_key();

 private:
  base::FileOps saved_ = base::file_ops();
};

// ---- segments without records ----

TEST_F(JournalReaders, GoOnBehindASegmentWithoutRecordsThatWasReplacedAndRolled) {
  for (const std::size_t bytes : {120U, 131U, 150U}) {
    std::filesystem::remove_all(place_);
    append(2);
    leave_segment_without_records(bytes);
    JournalReader reader(place_, key_);
    read_up_to(reader, 3);
    append(3);
    read_up_to(reader, 6);
  }
}

TEST_F(JournalReaders, GoOnBehindASegmentWithoutRecordsThatWasReplacedTwice) {
  append(2);
  for (int i = 0; i < 2; ++i) leave_segment_without_records(SegmentHeader::kSize);
  JournalReader reader(place_, key_);
  read_up_to(reader, 3);
  for (int i = 0; i < 2; ++i) {
    leave_segment_without_records(SegmentHeader::kSize);
    read_up_to(reader, 3);
  }
  append(2);
  read_up_to(reader, 5);
}

TEST_F(JournalReaders, OfASegmentWithoutRecordsAreToldOfTheGapIfItsSuccessorWasPruned) {
  append(2);
  leave_segment_without_records(SegmentHeader::kSize);
  JournalReader reader(place_, key_);
  read_up_to(reader, 3);
  SealedJournal journal(place_, key_, kManual);
  append(journal, 3);
  EXPECT_EQ(journal.prune_before(5), 4U);
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::gap);
}

// ---- listings ----

TEST_F(JournalReaders, MindNoListingThatLeavesOutWhatIsMadeMeanwhile) {
  for (std::uint64_t nth = 0;; ++nth) {
    std::filesystem::remove_all(place_);
    SealedJournal journal(place_, key_, kManual);
    append(journal, 3);
    JournalReader reader(place_, key_, {}, 2);
    const std::uint64_t end = journal.next_sequence();
    const NamesLeftOut left_out([&](const char* name) { return name == segment_name(end); });
    if (!read_around(reader, nth, [&] { append(journal, 2); })) break;
    EXPECT_EQ(reader.position(), end + 2);
  }
}

TEST_F(JournalReaders, FollowASegmentThatGrowsAndIsFinishedMeanwhile) {
  for (const bool pruned : {false, true}) {
    for (std::uint64_t nth = 0;; ++nth) {
      std::filesystem::remove_all(place_);
      SealedJournal journal(place_, key_, kManual);
      append(journal, 2);
      journal.append(record(3));
      journal.flush();
      JournalReader reader(place_, key_);
      bool happened = true;
      std::error_code told;
      try {
        happened = read_around(reader, nth, [&] {
          append(journal, 3);  // the first one in the same segment
          if (pruned) journal.prune_before(5);
        });
      } catch (const error& failure) {
        told = failure.code();
      }
      if (!happened) break;
      if (told == errc::gap && pruned && reader.position() < 4) continue;  // it hadn't come to that segment
      EXPECT_EQ(told, std::error_code()) << nth;
      EXPECT_EQ(reader.position(), 7U) << nth;
    }
  }
}

TEST_F(JournalReaders, StartAtANumberThatTheListingLeavesOut) {
  append(5);
  const NamesLeftOut left_out(
      [](const char* name) { return name == segment_name(4) || name == segment_name(5); });
  for (std::uint64_t from = 1; from <= 6; ++from) {
    JournalReader reader(place_, key_, {}, from);
    EXPECT_EQ(reader.position(), from);
    read_up_to(reader, 6);
  }
  EXPECT_EQ(code_of([&] { JournalReader(place_, key_, {}, 7); }), errc::gap);
}

// ---- pruning ----

TEST_F(JournalReaders, StartAtTheOldestWhateverIsPrunedMeanwhile) {
  for (std::uint64_t nth = 0;; ++nth) {
    std::filesystem::remove_all(place_);
    SealedJournal journal(place_, key_, kManual);
    append(journal, 4);
    const BetweenCalls between(nth, [&] {
      append(journal, 4);
      journal.prune_before(6);
    });
    JournalReader reader(place_, key_);
    const std::uint64_t first = reader.position();
    EXPECT_TRUE(first == 1 || first == 6) << first;
    if (!between.happened()) break;
    // What it stands in it still has; the next one may be gone.
    std::error_code told;
    try {
      read_on(reader);
    } catch (const error& failure) {
      told = failure.code();
    }
    EXPECT_EQ(told, first == 1 ? errc::gap : std::error_code()) << nth;
  }
}

TEST_F(JournalReaders, StartAtTheOldestThoughAListingShowsANewerOneOnly) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 5);
  int listings = 0;  // the first one leaves out all but the last: those were made while it ran
  const NamesLeftOut left_out([&](const char* name) {
    if (std::strcmp(name, ".") == 0) ++listings;
    return listings < 2 && std::strlen(name) > 10 && name != segment_name(5);
  });
  EXPECT_EQ(JournalReader(place_, key_).position(), 1U);
  listings = 0;
  EXPECT_EQ(JournalReader(place_, key_, {}, 3).position(), 3U);
}

TEST_F(JournalReaders, AreToldOfAGapOnlyIfWhatComesNextWasPruned) {
  for (std::uint64_t nth = 0;; ++nth) {
    std::filesystem::remove_all(place_);
    SealedJournal journal(place_, key_, kManual);
    append(journal, 3);
    JournalReader reader(place_, key_, {}, 3);
    read_up_to(reader, 4);
    const bool happened = read_around(reader, nth, [&] {
      append(journal, 2);
      journal.prune_before(4);  // all that the reader has read
    });
    if (!happened) break;
    EXPECT_EQ(reader.position(), 6U) << nth;
  }
}

// ---- recovery ----

// The tail is torn in each way there is, and the next writer cuts it off under the reader's eyes.
TEST_F(JournalReaders, GoOnWhereverAWriterRecoversTheJournalMeanwhile) {
  const auto tear = [](Bytes& bytes, int how) {
    if (how == 0) bytes.resize(bytes.size() - 700);                                     // cut off
    if (how == 1) bytes.insert(bytes.end(), 3000, std::byte{0});                        // zeros behind
    if (how == 2) std::fill(bytes.end() - 1024, bytes.end(), std::byte{0});             // not all written
    if (how == 3) std::fill(bytes.begin() + 1024, bytes.begin() + 2048, std::byte{0});  // a hole
    if (how == 4) bytes.resize(bytes.size() - 2300);
  };
  for (int how = 0; how < 5; ++how) {
    for (std::uint64_t nth = 0;; ++nth) {
      std::filesystem::remove_all(place_);
      {
        SealedJournal journal(place_, key_, kManual);
        for (std::uint64_t i = 1; i <= 3; ++i) {
          journal.append(record(i));
          journal.flush();
        }
      }
      auto bytes = read_file(last_segment());
      bytes.resize(bytes.size() - FrameHeader::kSize);  // without the mark, as a killed writer leaves it
      tear(bytes, how);
      write_file(last_segment(), bytes);
      JournalReader reader(place_, key_);
      std::uint64_t end = 0;
      const bool happened = read_around(reader, nth, [&] {
        SealedJournal journal(place_, key_, kManual);
        for (int i = 0; i < 2; ++i) {
          end = journal.append(record(journal.next_sequence())) + 1;
          journal.roll();
        }
      });
      if (!happened) break;
      EXPECT_EQ(reader.position(), end) << "torn in way " << how << ", recovered before call " << nth;
    }
  }
}

// ---- directories that are replaced ----

TEST_F(JournalReaders, AreToldThatAnOlderStateWasPutInPlace) {
  append(2);
  std::filesystem::copy(place_, scratch_ / "backup");
  append(3);
  JournalReader reader(place_, key_);
  read_up_to(reader, 6);
  put_back(scratch_ / "backup");
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::replaced);
  append(4);
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::replaced);
  EXPECT_EQ(reader.position(), 6U);
}

TEST_F(JournalReaders, AreToldThatAnOlderStateWasPutInPlaceAndGoneOnWith) {
  append(2);
  std::filesystem::copy(place_, scratch_ / "backup");
  append(3);
  JournalReader reader(place_, key_);
  read_up_to(reader, 6);
  put_back(scratch_ / "backup");
  append(4);  // records 3 to 6 that aren't those that the reader has read
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::replaced);
}

TEST_F(JournalReaders, AreToldThatAnotherJournalWasPutInPlace) {
  append(3);
  std::filesystem::rename(place_, scratch_ / "other");
  append(5);
  JournalReader reader(place_, key_);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(reader.next());
  put_back(scratch_ / "other");
  EXPECT_EQ(code_of([&] { read_on(reader); }), errc::replaced);
}

TEST_F(JournalReaders, AtATornEndAreToldThatAnotherJournalWasPutInPlace) {
  append(5);
  std::filesystem::rename(place_, scratch_ / "other");
  append(3);
  std::filesystem::resize_file(last_segment(), SegmentHeader::kSize + 500);
  append(2);
  std::filesystem::resize_file(segment(4), std::filesystem::file_size(segment(4)) - 500);
  JournalReader reader(place_, key_, {}, 3);
  read_up_to(reader, 4);
  put_back(scratch_ / "other");
  EXPECT_EQ(code_of([&] { read_on(reader); }), errc::replaced);
}

TEST_F(JournalReaders, AreToldThatTheirJournalWasRemoved) {
  append(3);
  JournalReader reader(place_, key_);
  read_up_to(reader, 4);
  std::filesystem::remove_all(place_);
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::replaced);
}

TEST_F(JournalReaders, GoOnIfTheSameStateWasPutInPlace) {
  append(3);
  JournalReader reader(place_, key_);
  read_up_to(reader, 4);
  std::filesystem::copy(place_, scratch_ / "backup");
  put_back(scratch_ / "backup");
  read_up_to(reader, 4);
  append(2);
  read_up_to(reader, 6);
}

// ---- what was synced ----

TEST_F(JournalReaders, StopAtWhatWasSyncedIfAsked) {
  SealedJournal journal(place_, key_, kManual);
  JournalReader reader(place_, key_, {}, 1, ReadUpTo::durable);
  JournalReader all(place_, key_, {}, 1);
  for (std::uint64_t end = 1; end < 40; end += 4) {
    for (std::uint64_t i = 0; i < 4; ++i) {
      journal.append(record(end + i));
      journal.flush();
    }
    read_up_to(all, end + 4);
    read_up_to(reader, end);
    EXPECT_EQ(journal.durable_sequence(), end);
    if (end % 3 == 0) journal.roll();
    if (end % 3 == 1) journal.sync();
    if (end % 3 == 2) journal.close(), journal = SealedJournal(place_, key_, kManual);
    read_up_to(reader, end + 4);
    EXPECT_EQ(journal.durable_sequence(), end + 4);
  }
}

TEST_F(JournalReaders, SeeEachRecordAtOnceIfItIsSyncedOnItsOwn) {
  SealedJournal journal(place_, key_, {.sync = SyncPolicy::each});
  JournalReader reader(place_, key_, {}, 1, ReadUpTo::durable);
  for (std::uint64_t i = 1; i < 20; ++i) {
    journal.append(record(i));
    read_up_to(reader, i + 1);
  }
}

// The first three records are durable, the others maybe not. A recovering writer makes them so.
TEST_F(JournalReaders, OfWhatIsDurableWaitForTheRecoveryOfAKilledWriter) {
  for (const bool full_disk : {false, true}) {
    std::filesystem::remove_all(place_);
    {
      SealedJournal journal(place_, key_, kManual);
      for (std::uint64_t i = 1; i <= 6; ++i) {
        journal.append(record(i));
        journal.flush();
        if (i == 3) journal.sync();
      }
    }
    std::filesystem::resize_file(last_segment(),
                                 std::filesystem::file_size(last_segment()) - FrameHeader::kSize);
    JournalReader reader(place_, key_, {}, 1, ReadUpTo::durable);
    read_up_to(reader, 4);
    JournalReader later(place_, key_, {}, 6, ReadUpTo::durable);
    EXPECT_FALSE(later.next()) << "not a gap: it is there";
    if (full_disk) {
      base::file_ops().write = [](int, const void*, std::size_t) -> ssize_t {
        errno = ENOSPC;
        return -1;
      };
      SealedJournal(place_, key_, kManual).close();
      base::file_ops().write = [](int fd, const void* bytes, std::size_t size) {
        return ::write(fd, bytes, size);
      };
      read_up_to(reader, 4);
      append(1);
    } else {
      SealedJournal(place_, key_, kManual).close();
    }
    read_up_to(reader, full_disk ? 8 : 7);
    read_up_to(later, full_disk ? 8 : 7);
  }
}

// ---- errors ----

TEST_F(JournalReaders, SayTheSameAgainAfterAnError) {
  append(5);
  const auto whole = read_file(segment(3));
  auto damaged = whole;
  damaged[140] ^= std::byte{1};
  write_file(segment(3), damaged);
  JournalReader reader(place_, key_);
  ASSERT_TRUE(reader.next());
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::corrupt);
  write_file(segment(3), whole);
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::corrupt);
  EXPECT_EQ(reader.position(), 3U);
  JournalReader another(place_, key_, {}, reader.position());
  read_up_to(another, 6);
}

TEST_F(JournalReaders, SayTheSameAgainAfterAnErrorOfTheSystem) {
  append(3);
  JournalReader reader(place_, key_);
  ASSERT_TRUE(reader.next());
  std::filesystem::remove(segment(2));
  std::filesystem::create_symlink(segment(3), segment(2));
  EXPECT_EQ(code_of([&] { reader.next(); }), std::errc::too_many_symbolic_link_levels);
  std::filesystem::remove(segment(2));
  EXPECT_EQ(code_of([&] { reader.next(); }), std::errc::too_many_symbolic_link_levels);
}

TEST_F(JournalReaders, FindASegmentMissingThatIsRemovedBehindThem) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 2);
  JournalReader reader(place_, key_);
  read_up_to(reader, 3);
  append(journal, 3);
  std::filesystem::remove(segment(3));
  EXPECT_EQ(code_of([&] {
              for (int look = 0; look < 10; ++look) reader.next();
            }),
            errc::corrupt);
}

// ---- what it costs ----

TEST_F(JournalReaders, ListADirectoryNoMoreOftenForMoreSegments) {
  constexpr std::uint64_t kSegments = 300;
  SealedJournal journal(place_, key_, kManual);
  append(journal, kSegments);
  std::uint64_t before = names_listed();
  EXPECT_EQ(verify_journal(place_, key_), kSegments);
  EXPECT_LT(names_listed() - before, 5 * kSegments);

  JournalReader reader(place_, key_, {}, kSegments + 1);
  before = names_listed();
  for (std::uint64_t i = 0; i < kSegments; ++i) {
    ASSERT_FALSE(reader.next());
    append(journal, 1);
    ASSERT_TRUE(reader.next());
  }
  EXPECT_LT(names_listed() - before, 5 * kSegments) << "while it followed the newest";
}

}  // namespace
}  // namespace sluice::crypto::test
