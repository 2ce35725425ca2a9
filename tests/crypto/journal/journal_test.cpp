// The sealed journal: what is appended is read, in order; what a crash leaves is recovered; damage is called
// damage.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <new>
#include <random>
#include <set>
#include <thread>

#include "group_buffer.hpp"
#include "hex.hpp"
#include "journal_directory.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/journal/journal_format.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using namespace std::chrono_literals;

// Nothing happens in the background: frames are written when full, or by flush() and sync().
const JournalOptions kManual{.context = "j", .sync = SyncPolicy::none};

Bytes record(std::uint64_t number) {
  return pattern(20 + number % 50, static_cast<std::uint32_t>(number + 1));
}

// While it lives, the process can have so many bytes of memory more, and that only where a limit stands on
// plain memory.
class ScarceMemory {
 public:
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr bool kWorks = false;  // their own memory is far larger
#else
  static constexpr bool kWorks = true;
#endif

  explicit ScarceMemory(std::size_t bytes) {
    ::malloc_trim(0);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    auto tight = before_;
    tight.rlim_cur = pages * static_cast<std::size_t>(::getpagesize()) + bytes;
    ::setrlimit(RLIMIT_AS, &tight);
  }
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;
  ~ScarceMemory() {
    ::setrlimit(RLIMIT_AS, &before_);
  }

 private:
  rlimit before_{};
};

class Journal : public testing::Test {
 protected:
  std::uint64_t append(SealedJournal& journal, std::uint64_t count) {
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < count; ++i) last = journal.append(record(journal.next_sequence()));
    return last;
  }

  // Reads from `from` to the end, checks numbers and bytes, and returns how many there were.
  std::uint64_t read_all(std::uint64_t from = 0, std::uint64_t expect_first = 0) const {
    JournalReader reader(place_, key_, "j", from);
    std::uint64_t count = 0;
    std::uint64_t expected = expect_first == 0 ? from : expect_first;
    while (const auto next = reader.next()) {
      if (expected == 0) expected = next->sequence;
      EXPECT_EQ(next->sequence, expected++);
      EXPECT_EQ(Bytes(next->bytes.begin(), next->bytes.end()), record(next->sequence));
      ++count;
    }
    return count;
  }

  std::vector<std::filesystem::path> segments() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(place_)) {
      if (entry.path().extension() == ".agcj") paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    return paths;
  }

  // A journal of one segment with `frames` frames of three records each; returns the frames' offsets and the
  // end.
  std::vector<std::uint64_t> make_frames(int frames, bool synced = false) {
    SealedJournal journal(place_, key_, kManual);
    std::vector<std::uint64_t> offsets;
    for (int i = 0; i < frames; ++i) {
      offsets.push_back(i == 0 ? SegmentHeader::kSize : std::filesystem::file_size(segments().back()));
      append(journal, 3);
      synced ? journal.sync() : journal.flush();
    }
    offsets.push_back(std::filesystem::file_size(segments().back()));
    return offsets;
  }

  // As a writer leaves it that is killed, not closed: without the mark at its end.
  void take_last_mark_away() const {
    const auto path = segments().back();
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - FrameHeader::kSize);
  }

  ScratchDirectory scratch_;
  std::filesystem::path place_ = scratch_ / "journal";
  SecretKey key_ = test_key();
};

TEST_F(Journal, ReadsWhatWasAppendedUnderEveryPolicy) {
  for (const auto policy : {SyncPolicy::each, SyncPolicy::interval, SyncPolicy::none}) {
    std::filesystem::remove_all(place_);
    SealedJournal journal(place_, key_, {.context = "j", .sync = policy, .frame_bytes = 1024});
    EXPECT_EQ(append(journal, 100), 100U);
    journal.close();
    EXPECT_EQ(read_all(), 100U);
    EXPECT_EQ(verify_journal(place_, key_, "j"), 100U);
  }
}

TEST_F(Journal, HoldsRecordsOfEverySize) {
  SealedJournal journal(place_, key_, kManual);
  const std::vector<std::size_t> sizes{0, 1, 65'535, 65'536, 65'537, 3'000'000, 0};
  for (const auto size : sizes) journal.append(pattern(size));
  journal.close();
  JournalReader reader(place_, key_, "j");
  for (const auto size : sizes) {
    const auto next = reader.next();
    ASSERT_TRUE(next);
    EXPECT_EQ(Bytes(next->bytes.begin(), next->bytes.end()), pattern(size));
  }
  EXPECT_FALSE(reader.next());
}

TEST_F(Journal, GoesOnWhereItEndedWithAFreshSegmentEachTime) {
  for (int i = 0; i < 5; ++i) {
    SealedJournal journal(place_, key_, kManual);
    EXPECT_EQ(journal.next_sequence(), 1U + 7U * static_cast<unsigned>(i));
    EXPECT_EQ(journal.recovery().torn_bytes, 0U);
    append(journal, 7);
    journal.close();
  }
  EXPECT_EQ(segments().size(), 5U);
  EXPECT_EQ(read_all(), 35U);
  std::set<std::string> salts;
  for (const auto& path : segments()) {
    const auto header = SegmentHeader::decode(read_file(path));
    salts.insert(hex(header.salt));
  }
  EXPECT_EQ(salts.size(), 5U);
}

TEST_F(Journal, OpenedWithoutAppendingChangesNothing) {
  make_frames(2);
  const auto before = read_file(segments().front());
  SealedJournal(place_, key_, kManual).close();
  EXPECT_EQ(segments().size(), 1U);
  EXPECT_EQ(read_file(segments().front()), before);
}

TEST_F(Journal, StartsReadingAtAnySequence) {
  {
    SealedJournal journal(place_, key_, {.context = "j", .sync = SyncPolicy::none, .frame_bytes = 1024});
    append(journal, 50);
    journal.roll();
    append(journal, 50);
    journal.close();
  }
  for (std::uint64_t from = 1; from <= 101; ++from) EXPECT_EQ(read_all(from), 101 - from) << from;
  EXPECT_EQ(code_of([&] { read_all(102); }), errc::gap);
}

TEST_F(Journal, CanStartAtAnyNumber) {
  SealedJournal journal(place_, key_,
                        {.context = "j", .sync = SyncPolicy::none, .first_sequence = 1'000'000});
  EXPECT_EQ(append(journal, 3), 1'000'002U);
  journal.close();
  EXPECT_EQ(read_all(1'000'001), 2U);
  EXPECT_EQ(code_of([&] { read_all(5); }), errc::gap);
}

TEST_F(Journal, RefusesRecordsAfterTheLastNumber) {
  constexpr std::uint64_t kLast = ~std::uint64_t{0} - 1;
  auto options = kManual;
  options.first_sequence = kLast - 1;
  {
    SealedJournal journal(place_, key_, options);
    EXPECT_EQ(journal.append(record(kLast - 1)), kLast - 1);
    EXPECT_EQ(journal.append(record(kLast)), kLast);
    EXPECT_EQ(code_of([&] { journal.append(record(0)); }), errc::no_numbers);
    journal.sync();
    EXPECT_EQ(journal.durable_sequence(), kLast + 1);
  }
  SealedJournal again(place_, key_, kManual);
  EXPECT_EQ(code_of([&] { again.append(record(0)); }), errc::no_numbers);
  again.close();
  EXPECT_EQ(read_all(kLast - 1), 2U);
  EXPECT_EQ(read_all(kLast), 1U);
}

TEST_F(Journal, IsFollowedWhileItIsWritten) {
  SealedJournal journal(place_, key_, kManual);
  JournalReader reader(place_, key_, "j", 1);
  EXPECT_FALSE(reader.next());
  for (int round = 0; round < 4; ++round) {
    append(journal, 5);
    EXPECT_FALSE(reader.next()) << "not flushed yet";
    if (round % 2 == 0) {
      journal.flush();
    } else {
      journal.roll();
    }
    for (int i = 0; i < 5; ++i) {
      const auto next = reader.next();
      ASSERT_TRUE(next);
      EXPECT_EQ(next->sequence, static_cast<std::uint64_t>(round * 5 + i + 1));
    }
    EXPECT_FALSE(reader.next());
  }
}

TEST_F(Journal, ReaderOfAnEmptyOneFindsTheSegmentThatReplacesIt) {
  make_frames(1);
  std::filesystem::resize_file(segments().back(), SegmentHeader::kSize);
  JournalReader reader(place_, key_, "j", 1);
  EXPECT_FALSE(reader.next());
  SealedJournal journal(place_, key_, kManual);
  append(journal, 1);
  journal.flush();
  const auto next = reader.next();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->sequence, 1U);
  EXPECT_EQ(segments().size(), 1U);
}

TEST_F(Journal, RollsAndPrunesBySize) {
  SealedJournal journal(place_, key_,
                        {.context = "j",
                         .sync = SyncPolicy::none,
                         .segment_bytes = 64UL * 1024,
                         .frame_bytes = 4096,
                         .retain_bytes = 300UL * 1024});
  while (journal.next_sequence() < 20'000) append(journal, 100);
  EXPECT_GT(journal.oldest_sequence(), 1U);
  std::uintmax_t total = 0;
  for (const auto& path : segments()) total += std::filesystem::file_size(path);
  EXPECT_LE(total, 300U * 1024 + 70U * 1024);
  const auto oldest = journal.oldest_sequence();
  const auto next = journal.next_sequence();
  journal.close();
  EXPECT_EQ(read_all(0, oldest), next - oldest);
  EXPECT_EQ(code_of([&] { read_all(oldest - 1); }), errc::gap);
}

/// Segments made at these times, as the clock showed them; which of them are an hour old at `now`?
std::size_t an_hour_old(std::initializer_list<std::uint64_t> minutes, std::uint64_t now) {
  constexpr std::uint64_t kMinute = 60'000'000'000;
  std::vector<JournalDirectory::Segment> segments;
  for (const std::uint64_t minute : minutes) segments.push_back({0, minute * kMinute, 0});
  return JournalDirectory::count_older_than(segments, now * kMinute, 60 * kMinute);
}

TEST(JournalRetention, GoesByTheCreationOfTheNextSegment) {
  EXPECT_EQ(an_hour_old({1000, 1010, 1020, 1080}, 1069), 0U);
  EXPECT_EQ(an_hour_old({1000, 1010, 1020, 1080}, 1070), 1U);
  EXPECT_EQ(an_hour_old({1000, 1010, 1020, 1080}, 1090), 2U);
  EXPECT_EQ(an_hour_old({1000, 1010, 1020, 1080}, 9999), 3U) << "the newest stays";
  EXPECT_EQ(an_hour_old({}, 1000), 0U);
}

TEST(JournalRetention, IsNotStoppedByAClockThatWasAheadOnce) {
  constexpr std::uint64_t kFarAhead = 5'000'000;
  EXPECT_EQ(an_hour_old({1000, kFarAhead, 1010, 1020, 1030}, 1079), 2U);
  EXPECT_EQ(an_hour_old({1000, kFarAhead, 1010, 1020, 1030}, 1090), 4U);
  EXPECT_EQ(an_hour_old({kFarAhead, kFarAhead + 1, 1010}, 1069), 0U);
  EXPECT_EQ(an_hour_old({kFarAhead, kFarAhead + 1, 1010}, 1070), 2U);
}

TEST(JournalRetention, LooksAtEachSegmentOnce) {
  constexpr std::uint64_t kMinute = 60'000'000'000;
  std::vector<JournalDirectory::Segment> segments(500'000,
                                                  {0, 5'000'000 * kMinute, 0});  // all from the future
  segments.back().created_ns = 1000 * kMinute;
  EXPECT_EQ(JournalDirectory::count_older_than(segments, 1060 * kMinute, 60 * kMinute), segments.size() - 1);
  segments.back().created_ns = 1001 * kMinute;
  EXPECT_EQ(JournalDirectory::count_older_than(segments, 1060 * kMinute, 60 * kMinute), 0U);
}

TEST(JournalRetention, IsNotOverdoneAfterAClockThatWasBehindOnce) {
  EXPECT_EQ(an_hour_old({1000, 1010, 1, 1020, 1030}, 1060), 0U);
  EXPECT_EQ(an_hour_old({1000, 1010, 1, 1020, 1030}, 1079), 1U) << "when the third was made is not known";
  EXPECT_EQ(an_hour_old({1000, 1010, 1, 1020, 1030}, 1080), 3U);
}

TEST_F(Journal, PrunesByAgeAndBySequenceButNeverTheNewest) {
  SealedJournal journal(place_, key_, kManual);
  for (int i = 0; i < 4; ++i) {
    append(journal, 10);
    journal.roll();
  }
  EXPECT_EQ(journal.prune_before(20), 1U);
  EXPECT_EQ(journal.oldest_sequence(), 11U);
  EXPECT_EQ(journal.prune_before(21), 1U);
  EXPECT_EQ(journal.oldest_sequence(), 21U);
  EXPECT_EQ(journal.prune_older_than(1h), 0U);
  EXPECT_EQ(journal.prune_older_than(std::chrono::hours::max()), 0U);
  EXPECT_EQ(journal.prune_older_than(0s), 1U);
  EXPECT_EQ(journal.prune_to_bytes(0), 0U);
  EXPECT_EQ(journal.oldest_sequence(), 31U);
  journal.close();
  EXPECT_EQ(read_all(31), 10U);
}

TEST_F(Journal, RefusesToPruneByANegativeAge) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 3);
  journal.roll();
  append(journal, 3);
  journal.flush();
  EXPECT_EQ(code_of([&] { journal.prune_older_than(-1s); }), sluice::errc::bad_option);
  EXPECT_EQ(journal.append(record(7)), 7U) << "and goes on";
  EXPECT_EQ(journal.oldest_sequence(), 1U);
}

TEST_F(Journal, ReaderLeftBehindByPruningIsToldOfTheGap) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 5);
  journal.roll();
  JournalReader reader(place_, key_, "j", 1);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(reader.next());
  for (int i = 0; i < 3; ++i) {
    append(journal, 5);
    journal.roll();
  }
  journal.prune_before(12);
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::gap);
}

TEST_F(Journal, HasOneWriter) {
  SealedJournal journal(place_, key_, kManual);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), sluice::errc::busy);
  journal.close();
}

// Both begin with segment 1.
TEST_F(Journal, KeepsToItsDirectoryIfThatIsRenamedAndAnotherMadeInItsPlace) {
  const auto moved = scratch_ / "moved";
  SealedJournal first(place_, key_, kManual);
  std::filesystem::rename(place_, moved);
  SealedJournal second(place_, key_, kManual);
  append(second, 5);
  second.sync();
  JournalReader reader(place_, key_, "j");

  append(first, 3);
  first.roll();
  append(first, 3);
  first.roll();
  EXPECT_EQ(first.prune_before(4), 1U);
  first.close();
  EXPECT_EQ(read_all(1), 5U) << "the second one's records";

  std::filesystem::rename(place_, scratch_ / "second");
  std::filesystem::rename(moved, place_);
  EXPECT_EQ(read_all(4), 3U) << "the first one's, less what was pruned";
  EXPECT_EQ(SealedJournal(place_, key_, kManual).next_sequence(), 7U);
  second.roll();
  append(second, 2);
  second.close();
  std::uint64_t count = 0;
  while (reader.next()) ++count;
  EXPECT_EQ(count, 7U) << "a reader keeps to its directory, too";
}

TEST_F(Journal, CloseGivesUpTheLockAndTheNumbersKeepAnswering) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 3);
  journal.close();
  {
    SealedJournal next(place_, key_, kManual);
    EXPECT_EQ(next.next_sequence(), 4U);
    journal.close();
    EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), sluice::errc::busy)
        << "a second close() must not give up somebody else's lock";
  }
  EXPECT_EQ(journal.recovery().next_sequence, 1U);
  EXPECT_EQ(journal.oldest_sequence(), 1U);
  EXPECT_EQ(journal.next_sequence(), 4U);
  EXPECT_EQ(journal.durable_sequence(), 4U);
  EXPECT_EQ(code_of([&] { journal.append(record(4)); }), sluice::errc::misuse);
  EXPECT_EQ(code_of([&] { journal.flush(); }), sluice::errc::misuse);
  EXPECT_EQ(code_of([&] { journal.sync(); }), sluice::errc::misuse);
  EXPECT_EQ(code_of([&] { journal.roll(); }), sluice::errc::misuse);
  EXPECT_EQ(code_of([&] { journal.prune_before(4); }), sluice::errc::misuse);
}

TEST_F(Journal, SegmentThatIsNoRegularFileIsRefusedByName) {
  make_frames(1);
  const auto path = segments().front();
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto check = [&](auto open) {
    auto opened = std::async(std::launch::async, [&] {
      try {
        open();
        ADD_FAILURE() << "nothing was thrown";
      } catch (const error& refused) {
        EXPECT_EQ(refused.code(), errc::corrupt);
        EXPECT_NE(std::string(refused.what()).find(path.string() + ": expected a regular file"),
                  std::string::npos)
            << refused.what();
      }
    });
    if (opened.wait_for(10s) == std::future_status::ready) return;
    ADD_FAILURE() << "it waits for somebody to write into the FIFO";
    ::close(::open(path.c_str(), O_RDWR | O_NONBLOCK));
  };
  check([&] { SealedJournal(place_, key_, kManual); });
  check([&] { JournalReader(place_, key_, "j"); });
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  check([&] { SealedJournal(place_, key_, kManual); });
}

TEST_F(Journal, IsRefusedWithAnotherKeyOrContext) {
  make_frames(1);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, test_key(7), kManual); }), errc::unknown_key);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, {.context = "k"}); }), errc::not_authentic);
  const auto other = test_key(7);
  EXPECT_EQ(code_of([&] { JournalReader(place_, other, "j"); }), errc::unknown_key);
  EXPECT_EQ(code_of([&] { JournalReader(place_, key_, "k"); }), errc::not_authentic);
}

TEST_F(Journal, GoesOnUnderANewKeyBesideTheOldOnes) {
  make_frames(2);
  KeyRing older;
  older.add(test_key());
  {
    SealedJournal journal(place_, test_key(1), kManual, &older);
    append(journal, 4);
    journal.close();
  }
  older.add(test_key(1));
  EXPECT_EQ(verify_journal(place_, older, "j"), 10U);
}

TEST_F(Journal, RefusesOptionsOutOfRangeAndRecordsTooLarge) {
  for (const auto& options :
       {JournalOptions{.segment_bytes = 1000}, JournalOptions{.segment_bytes = 2ULL << 30U},
        JournalOptions{.frame_bytes = 1}, JournalOptions{.frame_bytes = 5U << 20U},
        JournalOptions{.sync_interval = 0ms}, JournalOptions{.first_sequence = 0},
        JournalOptions{.first_sequence = ~std::uint64_t{0}}}) {
    EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, options); }), sluice::errc::bad_option);
  }
  SealedJournal journal(place_, key_, kManual);
  EXPECT_EQ(code_of([&] { journal.append(Bytes(SealedJournal::kMaxRecordBytes + 1)); }),
            sluice::errc::bad_option);
  EXPECT_EQ(journal.append(pattern(1)), 1U) << "a refused record isn't a failed write";
  journal.close();
  EXPECT_EQ(code_of([&] { journal.append(pattern(1)); }), sluice::errc::misuse);
}

TEST_F(Journal, SyncsWithinTheIntervalOnItsOwn) {
  SealedJournal journal(place_, key_, {.context = "j", .sync = SyncPolicy::interval, .sync_interval = 5ms});
  append(journal, 3);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (journal.durable_sequence() < 4 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_EQ(journal.durable_sequence(), 4U);
  EXPECT_EQ(read_all(1), 3U);
}

TEST(GroupBuffer, RefusesWhatAFrameCannotHold) {
  GroupBuffer group;
  group.add(pattern(100));
  const Bytes largest(SealedJournal::kMaxRecordBytes);
  EXPECT_EQ(code_of([&] { group.add(largest); }), sluice::errc::misuse);
  EXPECT_EQ(group.records(), 1U);
  EXPECT_EQ(group.length(), 104U);
}

TEST_F(Journal, ARecordThatFindsNoMemoryIsNotKept) {
  if (!ScarceMemory::kWorks) GTEST_SKIP() << "needs a limit on plain memory";
  SealedJournal journal(place_, key_, kManual);
  append(journal, 1);
  const Bytes large(SealedJournal::kMaxRecordBytes);
  {
    const ScarceMemory scarce(4U << 20U);
    EXPECT_THROW(journal.append(large), std::bad_alloc);
  }
  EXPECT_EQ(append(journal, 1), 2U);
  journal.close();
  EXPECT_EQ(read_all(1), 2U);
}

TEST_F(Journal, ARemovalThatFailsIsNotKept) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 1);
  journal.roll();
  append(journal, 1);
  journal.roll();
  const auto oldest = segments().front();
  std::filesystem::remove(oldest);
  std::filesystem::create_directory(oldest);  // can't be unlinked
  EXPECT_EQ(code_of([&] { journal.prune_before(2); }), std::errc::is_a_directory);
  EXPECT_EQ(append(journal, 1), 3U);
  std::filesystem::remove(oldest);
  EXPECT_EQ(journal.prune_before(2), 1U);
  journal.close();
  EXPECT_EQ(read_all(2), 2U);
}

TEST_F(Journal, SegmentThatTheOptionsCannotRemoveIsToldOnceByTheNextCall) {
  SealedJournal journal(place_, key_, {.context = "j", .sync = SyncPolicy::none, .retain_bytes = 1});
  append(journal, 1);
  journal.roll();
  const auto oldest = segments().front();
  std::filesystem::remove(oldest);
  std::filesystem::create_directory(oldest);
  append(journal, 1);
  journal.roll();
  EXPECT_EQ(code_of([&] { journal.append(record(3)); }), std::errc::is_a_directory);
  EXPECT_EQ(append(journal, 1), 3U) << "it was the removal that failed, not the journal";
  journal.roll();
  EXPECT_EQ(code_of([&] { journal.close(); }), std::errc::is_a_directory);
  EXPECT_EQ(journal.oldest_sequence(), 1U);
  std::filesystem::remove(oldest);
  EXPECT_EQ(read_all(2), 2U);
  EXPECT_EQ(SealedJournal(place_, key_, kManual).next_sequence(), 4U);
}

// ---- what a crash leaves ----

TEST_F(Journal, RecoveryNeedsTheSameMemoryForManyFramesAsForFew) {
  if (!ScarceMemory::kWorks) GTEST_SKIP() << "needs a limit on plain memory";
  constexpr std::uint64_t kFrames = 200'000;
  {
    SealedJournal journal(place_, key_, kManual);
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      journal.append({});
      journal.flush();
    }
    journal.close();
  }
  const ScarceMemory scarce(4U << 20U);
  const SealedJournal journal(place_, key_, kManual);
  EXPECT_EQ(journal.next_sequence(), kFrames + 1);
}

TEST_F(Journal, CutAtEveryLengthIsATornTailCutAtTheLastCompleteRecord) {
  const auto offsets = make_frames(4);
  take_last_mark_away();
  const auto path = segments().front();
  const auto whole = read_file(path);
  for (std::size_t size = SegmentHeader::kSize; size <= whole.size(); ++size) {
    write_file(path, std::span(whole).first(size));
    const auto frames =
        static_cast<std::uint64_t>(std::ranges::upper_bound(offsets, size) - offsets.begin() - 1);
    ASSERT_EQ(read_all(1), 3 * frames) << size;  // the reader sees the complete records before any recovery
    const SealedJournal journal(place_, key_, kManual);
    ASSERT_EQ(journal.next_sequence(), 3 * frames + 1) << size;
    ASSERT_EQ(journal.recovery().torn_bytes, size - offsets[frames]) << size;
    ASSERT_EQ(std::filesystem::file_size(path), offsets[frames] + FrameHeader::kSize) << size;
  }
}

// Made by a holder of the key, or there would be no such thing.
TEST_F(Journal, SegmentForANumberThatNoRecordCanHaveIsCorrupt) {
  for (const std::uint64_t first : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    std::filesystem::remove_all(place_);
    std::filesystem::create_directory(place_);
    SegmentHeader header{.first_sequence = first, .key_id = key_.id()};
    const auto bound = header.encode();
    const SegmentKeys keys(key_, std::span(bound).first(SegmentHeader::kBoundSize), "j");
    std::ranges::copy(keys.commitment(), header.commitment.begin());
    write_file(place_ / segment_name(first), header.encode());
    EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt);
    EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);
  }
}

// Else whoever can write to the directory could let us search a file of zeros that takes no room.
TEST_F(Journal, SegmentLongerThanAnyWriterMakesItIsCorrupt) {
  make_frames(2);
  const auto path = segments().back();
  JournalReader reader(place_, key_, "j", 7);
  std::filesystem::resize_file(path, kMaxSegmentBytes + 1);
  EXPECT_EQ(code_of([&] { reader.next(); }), errc::corrupt);
  EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt);
  EXPECT_EQ(std::filesystem::file_size(path), kMaxSegmentBytes + 1);
}

TEST_F(Journal, CutInsideASegmentsHeaderIsCorrupt) {
  make_frames(1);
  const auto path = segments().front();
  std::filesystem::resize_file(path, SegmentHeader::kSize - 1);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::short_header);
}

TEST_F(Journal, TailThatWasNeverWrittenIsTorn) {
  std::vector<std::uint64_t> ends;
  {
    SealedJournal journal(place_, key_, kManual);
    for (int i = 0; i < 3; ++i) {
      journal.append(pattern(2000));
      journal.flush();
      ends.push_back(std::filesystem::file_size(segments().back()));
    }
  }
  const auto path = segments().front();
  const auto whole = read_file(path);
  // The file's size reached the disk, the bytes only up to some sector: zeros from there on, and beyond.
  for (std::uint64_t from = ends[1]; from < ends[2]; from = (from / 512 + 1) * 512) {
    auto torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(from), torn.end(), std::byte{0});
    torn.insert(torn.end(), 5000, std::byte{0});
    write_file(path, torn);
    const SealedJournal journal(place_, key_, kManual);
    EXPECT_EQ(journal.next_sequence(), 3U) << from;
    EXPECT_EQ(journal.recovery().torn_bytes, torn.size() - ends[1]) << from;
  }
}

TEST_F(Journal, HoleBeforeLaterFramesIsTornUnlessItWasDurable) {
  for (const bool synced : {false, true}) {
    std::filesystem::remove_all(place_);
    std::vector<std::uint64_t> offsets;
    {
      SealedJournal journal(place_, key_, kManual);
      for (int i = 0; i < 6; ++i) {
        journal.append(pattern(2000));
        synced ? journal.sync() : journal.flush();
        offsets.push_back(std::filesystem::file_size(segments().back()));
      }
    }
    take_last_mark_away();
    auto bytes = read_file(segments().front());
    // One disk sector in the third frame was never written, all that follows was.
    const auto sector = static_cast<std::ptrdiff_t>((offsets[1] / 512 + 2) * 512);
    std::fill(bytes.begin() + sector, bytes.begin() + sector + 512, std::byte{0});
    write_file(segments().front(), bytes);
    if (synced) {
      // Recovery trusts what was durable without reading it; whoever reads it meets the damage.
      const SealedJournal journal(place_, key_, kManual);
      EXPECT_EQ(journal.next_sequence(), 7U);
      EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);
    } else {
      EXPECT_EQ(verify_journal(place_, key_, "j"), 2U) << "a reader sees the same end";
      const SealedJournal journal(place_, key_, kManual);
      EXPECT_EQ(journal.next_sequence(), 3U);
      EXPECT_GT(journal.recovery().torn_bytes, 0U);
    }
  }
}

// Every sector in turn; the last one holds the mark that says so, and an end that is gone looks like a crash.
TEST_F(Journal, DamageInTheMiddleOfAClosedOneIsReportedAndNothingIsCutOff) {
  for (const int frames : {1, 6}) {
    for (const bool reopened : {false, true}) {
      std::filesystem::remove_all(place_);
      {
        SealedJournal journal(place_, key_, kManual);
        for (int i = 0; i < 6; ++i) {
          journal.append(pattern(1000));
          if (frames > 1) journal.flush();
        }
      }
      if (reopened) {
        take_last_mark_away();
        SealedJournal(place_, key_, kManual).close();
      }
      const auto path = segments().front();
      const auto whole = read_file(path);
      for (std::size_t sector = 512; sector + 512 + FrameHeader::kSize < whole.size(); sector += 512) {
        auto damaged = whole;
        std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(sector), 512, std::byte{0});
        write_file(path, damaged);
        EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt) << sector;
        EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt) << sector;
        EXPECT_EQ(read_file(path), damaged);
      }
    }
  }
}

TEST_F(Journal, AnythingBehindTheEndOfAClosedOneIsTornOrReportedAndNoRecord) {
  make_frames(2);
  const auto path = segments().front();
  const auto whole = read_file(path);
  for (const std::byte fill : {std::byte{0}, std::byte{7}}) {
    auto longer = whole;
    longer.resize(whole.size() + 2000, fill);
    write_file(path, longer);
    if (fill == std::byte{0}) {
      EXPECT_EQ(SealedJournal(place_, key_, kManual).recovery().torn_bytes, 2000U);
      EXPECT_EQ(read_file(path), whole);
    } else {
      EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt);
    }
  }
}

// A mark can't be written then, nor is it needed.
TEST_F(Journal, IsRecoveredAndPrunedOnAFullDisk) {
  for (int i = 0; i < 2; ++i) make_frames(1);
  take_last_mark_away();
  const auto path = segments().back();
  const auto size = std::filesystem::file_size(path);
  const base::FileOps saved = base::file_ops();
  base::file_ops().write = [](int fd, const void* bytes, std::size_t count) -> ssize_t {
    if (count > 5) return ::write(fd, bytes, 5);
    errno = ENOSPC;
    return -1;
  };
  {
    SealedJournal journal(place_, key_, kManual);
    EXPECT_EQ(journal.next_sequence(), 7U);
    EXPECT_EQ(journal.prune_before(4), 1U);
  }
  base::file_ops() = saved;
  EXPECT_EQ(std::filesystem::file_size(path), size);
  make_frames(1);
  EXPECT_EQ(read_all(4), 6U);
}

TEST_F(Journal, OldSegmentsGoThoughEachIsClosedBeforeItIsFull) {
  auto options = kManual;
  options.retain_bytes = 2000;
  for (int i = 0; i < 20; ++i) {
    SealedJournal journal(place_, key_, options);
    append(journal, 3);
    journal.close();
  }
  EXPECT_LT(segments().size(), 10U);
  EXPECT_EQ(SealedJournal(place_, key_, kManual).next_sequence(), 61U);
}

TEST_F(Journal, HoleIsCorruptWhereALaterFrameSaysThatItWasDurableThoughTheNextDoesNot) {
  {
    SealedJournal journal(place_, key_, kManual);
    for (int i = 0; i < 4; ++i) {
      journal.append(pattern(2000));
      journal.flush();
    }
    journal.sync();
    journal.append(pattern(2000));
    journal.close();
  }
  auto bytes = read_file(segments().front());
  std::fill(bytes.begin() + 512, bytes.begin() + 1024, std::byte{0});
  write_file(segments().front(), bytes);
  EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);
}

TEST_F(Journal, AnyFlippedByteIsCorruptNotTorn) {
  const auto offsets = make_frames(3);
  const auto path = segments().front();
  const auto whole = read_file(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto damaged = whole;
    damaged[i] ^= std::byte{0x10};
    write_file(path, damaged);
    const auto open_code = code_of([&] { SealedJournal(place_, key_, kManual); });
    const auto read_code = code_of([&] { verify_journal(place_, key_, "j"); });
    if (i >= SegmentHeader::kSize) {
      ASSERT_EQ(open_code, errc::corrupt) << i;
      ASSERT_EQ(read_code, errc::corrupt) << i;
    } else {
      ASSERT_EQ(open_code.category(), category()) << i;
      ASSERT_EQ(read_code, open_code) << i;
    }
    ASSERT_EQ(read_file(path), damaged) << "recovery must not touch what it doesn't understand";
  }
}

TEST_F(Journal, FlippedByteInAnEarlierSegmentIsFoundByReading) {
  make_frames(2);
  make_frames(2);
  auto damaged = read_file(segments().front());
  damaged[SegmentHeader::kSize + 40] ^= std::byte{1};
  write_file(segments().front(), damaged);
  EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);
}

TEST_F(Journal, EarlierSegmentCutShortIsCorrupt) {
  const auto offsets = make_frames(3);
  make_frames(1);
  for (const auto size : {offsets[2], offsets[2] + 10, offsets[3] - 1}) {
    std::filesystem::resize_file(segments().front(), size);
    EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt) << size;
  }
}

TEST_F(Journal, MissingOrForeignSegmentIsCorrupt) {
  for (int i = 0; i < 3; ++i) make_frames(1);
  const auto paths = segments();
  const auto middle = read_file(paths[1]);
  std::filesystem::remove(paths[1]);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt);
  EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);

  // The same numbers, key and context, from another journal.
  const auto own = place_;
  place_ = scratch_ / "other";
  for (int i = 0; i < 3; ++i) make_frames(1);
  std::filesystem::copy_file(segments()[1], paths[1]);
  place_ = own;
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt);
  EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt);

  write_file(paths[1], middle);
  EXPECT_EQ(verify_journal(place_, key_, "j"), 9U);
}

// Each in turn, the only one as well; the numbers are the same.
TEST_F(Journal, SegmentOfAnotherOneWithTheSameKeyIsRecognised) {
  const auto own = place_;
  for (const int count : {1, 3}) {
    place_ = scratch_ / ("other of " + std::to_string(count));
    for (int i = 0; i < count; ++i) make_frames(1);
    const auto foreign = segments();
    place_ = own;
    std::filesystem::remove_all(place_);
    for (int i = 0; i < count; ++i) make_frames(1);
    for (const auto& path : foreign) {
      const auto name = path.filename();
      const auto bytes = read_file(place_ / name);
      write_file(place_ / name, read_file(path));
      EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt) << name;
      EXPECT_EQ(code_of([&] { verify_journal(place_, key_, "j"); }), errc::corrupt) << name;
      const auto first = SegmentHeader::decode(read_file(path)).first_sequence;
      EXPECT_EQ(code_of([&] { JournalReader(place_, key_, "j", first); }), errc::corrupt) << name;
      write_file(place_ / name, bytes);
    }
    EXPECT_EQ(read_all(1), static_cast<std::uint64_t>(3 * count));
  }
}

TEST_F(Journal, GetsTheIdentityOfItsSegmentsIfThoseWereCopiedWithoutTheLock) {
  make_frames(1);
  const auto identity = read_file(place_ / "lock");
  EXPECT_EQ(identity.size(), sizeof(JournalId));
  for (const std::size_t left : {0U, 5U}) {
    write_file(place_ / "lock", std::span(identity).first(left));
    EXPECT_GT(read_all(1), 0U);
    make_frames(1);
    EXPECT_EQ(read_file(place_ / "lock"), identity);
  }
  std::filesystem::remove(place_ / "lock");
  EXPECT_EQ(read_all(1), 9U);
  make_frames(1);
  EXPECT_EQ(read_file(place_ / "lock"), identity);
}

TEST_F(Journal, FrameOfAnotherPlaceOrSegmentIsCorrupt) {
  const auto offsets = make_frames(3);
  const auto path = segments().front();
  const auto whole = read_file(path);
  auto swapped = Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(offsets[0]));
  const auto add = [&](std::size_t i) {
    swapped.insert(swapped.end(), whole.begin() + static_cast<std::ptrdiff_t>(offsets[i]),
                   whole.begin() + static_cast<std::ptrdiff_t>(offsets[i + 1]));
  };
  for (const auto i : {1U, 0U, 2U}) add(i);
  write_file(path, swapped);
  EXPECT_EQ(code_of([&] { SealedJournal(place_, key_, kManual); }), errc::corrupt);
}

// ---- faults ----

class JournalFaults : public Journal {
 protected:
  void TearDown() override { base::file_ops() = saved_; }
  base::FileOps saved_ = base::file_ops();
};

int calls_left = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): the fault's own counter

TEST_F(JournalFaults, AFailedWriteIsKeptAndLosesNothingThatWasWritten) {
  {
    SealedJournal journal(place_, key_, kManual);
    append(journal, 3);
    journal.sync();
    base::file_ops().write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
      if (size > 10) return ::write(fd, bytes, 10);  // part of it, and then the disk is full
      errno = ENOSPC;
      return -1;
    };
    append(journal, 3);
    // Ten bytes at a time while more than ten are left, then the failure.
    EXPECT_EQ(code_of([&] { journal.flush(); }), std::errc::no_space_on_device);
    EXPECT_EQ(code_of([&] { journal.append(pattern(1)); }), std::errc::no_space_on_device);
    EXPECT_EQ(code_of([&] { journal.close(); }), std::errc::no_space_on_device);
  }
  base::file_ops() = saved_;
  EXPECT_EQ(read_all(1), 3U);
  SealedJournal journal(place_, key_, kManual);
  EXPECT_EQ(journal.next_sequence(), 4U);
  EXPECT_GT(journal.recovery().torn_bytes, 0U);
}

TEST_F(JournalFaults, AFailedCloseGivesUpTheLockAndTellsItAgain) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 2);
  journal.flush();
  base::file_ops().fsync = [](int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(code_of([&] { journal.close(); }), std::errc::io_error);
  base::file_ops() = saved_;
  SealedJournal next(place_, key_, kManual);
  EXPECT_EQ(next.next_sequence(), 3U);
  EXPECT_EQ(code_of([&] { journal.close(); }), std::errc::io_error);
  EXPECT_EQ(code_of([&] { journal.append(record(3)); }), std::errc::io_error);
}

TEST_F(JournalFaults, AFailedFsyncIsNeverTakenForDurable) {
  SealedJournal journal(place_, key_, {.context = "j", .sync = SyncPolicy::each});
  append(journal, 1);
  base::file_ops().fsync = [](int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(code_of([&] { journal.append(record(2)); }), std::errc::io_error);
  base::file_ops() = saved_;
  EXPECT_EQ(code_of([&] { journal.append(record(3)); }), std::errc::io_error);
  EXPECT_EQ(journal.durable_sequence(), 2U);
}

std::vector<ino_t>
    synced;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): a plain function adds to it

TEST_F(JournalFaults, TheDirectoryThatAJournalIsMadeInIsSyncedUntilTheJournalHoldsASegment) {
  struct stat parent {};
  ASSERT_EQ(::stat(scratch_.path().c_str(), &parent), 0);
  base::file_ops().fsync = [](int fd) {
    struct stat status {};
    ::fstat(fd, &status);
    synced.push_back(status.st_ino);
    return 0;
  };
  const auto opening_syncs_it = [&](std::uint64_t records) {
    synced.clear();
    SealedJournal journal(place_, key_, kManual);
    const bool found = std::ranges::find(synced, parent.st_ino) != synced.end();
    append(journal, records);
    return found;
  };
  EXPECT_TRUE(opening_syncs_it(0));
  EXPECT_TRUE(opening_syncs_it(1)) << "its maker may have ended before it did";
  EXPECT_FALSE(opening_syncs_it(1));
}

// Else the newest segment wouldn't be the only one that can have a torn end.
TEST_F(JournalFaults, ASegmentIsSyncedWhenItIsFinishedAndNoneFollowsOneThatIsNot) {
  SealedJournal journal(place_, key_, kManual);
  append(journal, 1);
  journal.flush();
  base::file_ops().fsync = [](int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(code_of([&] { journal.roll(); }), std::errc::io_error);
  base::file_ops() = saved_;
  EXPECT_EQ(code_of([&] { journal.append(record(2)); }), std::errc::io_error);
  EXPECT_EQ(segments().size(), 1U);
  EXPECT_EQ(journal.durable_sequence(), 1U);
}

TEST_F(JournalFaults, AFailedSegmentCreationLeavesTheOldOnes) {
  make_frames(2);
  SealedJournal journal(place_, key_, kManual);
  base::file_ops().rename = [](int, const char*, const char*) {
    errno = EIO;
    return -1;
  };
  append(journal, 1);
  EXPECT_EQ(code_of([&] { journal.flush(); }), std::errc::io_error);
  base::file_ops() = saved_;
  EXPECT_EQ(segments().size(), 1U);
  EXPECT_EQ(read_all(1), 6U);
}

// Forks a writer that dies at its n-th write, fsync or rename (before it, or halfway through a write);
// whatever n is, every record that append() acknowledged as durable is there afterwards.
TEST_F(JournalFaults, KilledAtEveryWriteLosesNoDurableRecord) {
  for (int n = 1;; ++n) {
    std::filesystem::remove_all(place_);
    std::array<int, 2> acknowledged{};
    ASSERT_EQ(::pipe(acknowledged.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      calls_left = n;
      base::file_ops().write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
        if (--calls_left == 0) {
          (void)!::write(fd, bytes, size / 2);
          ::kill(::getpid(), SIGKILL);
        }
        return ::write(fd, bytes, size);
      };
      base::file_ops().fsync = [](int fd) {
        if (--calls_left == 0) ::kill(::getpid(), SIGKILL);
        return ::fsync(fd);
      };
      base::file_ops().rename = [](int directory, const char* from, const char* to) {
        if (--calls_left == 0) ::kill(::getpid(), SIGKILL);
        return ::renameat(directory, from, directory, to);
      };
      const JournalOptions options{.context = "j", .sync = SyncPolicy::each};
      for (int round = 0; round < 3; ++round) {
        SealedJournal journal(place_, key_, options);
        for (int i = 0; i < 3; ++i) {
          const char number = static_cast<char>(journal.append(record(journal.next_sequence())));
          (void)!::write(acknowledged[1], &number, 1);
        }
        journal.roll();
        journal.append(record(journal.next_sequence()));
        journal.close();
      }
      std::_Exit(0);
    }
    ::close(acknowledged[1]);
    char last = 0;
    for (char number = 0; ::read(acknowledged[0], &number, 1) == 1;) last = number;
    ::close(acknowledged[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    std::uint64_t next = 0;
    {
      SealedJournal journal(place_, key_, kManual);
      next = journal.next_sequence();
      ASSERT_GT(next, static_cast<std::uint64_t>(last)) << "killed at call " << n;
      append(journal, 2);
      journal.close();
    }
    ASSERT_EQ(read_all(1), next + 1) << "killed at call " << n;
    for (const auto& entry : std::filesystem::directory_iterator(place_)) {
      ASSERT_EQ(entry.path().string().find("sluice-new"), std::string::npos) << entry.path();
    }
    if (WIFEXITED(status)) break;  // it got through without reaching call n
    ASSERT_LT(n, 200);
  }
}

TEST(JournalReading, OfADirectoryThatIsMissingIsAnErrorOfTheLibrary) {
  const ScratchDirectory scratch;
  const SecretKey key = test_key();
  EXPECT_THROW((void)verify_journal(scratch.path() / "missing", key), error);
  EXPECT_THROW(JournalReader(scratch.path() / "missing", key), error);
}

}  // namespace
}  // namespace sluice::crypto::test
