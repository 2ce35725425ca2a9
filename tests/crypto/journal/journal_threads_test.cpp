// The sealed journal under several threads: group commit, and readers beside a writer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

std::atomic<int> fsyncs{
    0};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): a plain function counts here

TEST(JournalThreads, ConcurrentAppendsShareFsyncsAndAreDurableOnReturn) {
  const ScratchDirectory scratch;
  const auto key = test_key();
  SealedJournal journal(scratch / "j", key, {.sync = SyncPolicy::each, .segment_bytes = 64UL * 1024});
  constexpr int kThreads = 8;
  constexpr int kEach = 50;
  const base::FileOps saved = base::file_ops();
  fsyncs = 0;
  // A slow disk: while one fsync runs, the other threads queue up, and the next one serves them all.
  base::file_ops().fsync = [](int) {
    fsyncs.fetch_add(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return 0;
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          const auto sequence = journal.append(pattern(500));
          EXPECT_GT(journal.durable_sequence(), sequence);
        }
      });
    }
  }
  base::file_ops() = saved;
  EXPECT_LT(fsyncs.load(), kThreads * kEach * 3 / 4);
  journal.close();
  EXPECT_EQ(verify_journal(scratch / "j", key), static_cast<std::uint64_t>(kThreads * kEach));
}

// ---- what happens while an fsync runs ----

using namespace std::chrono_literals;

// While `held`, an fsync doesn't return: what the others do meanwhile is then no matter of luck.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a plain function looks at them
std::atomic<bool> held{false}, entered{false};

class JournalBehindASlowDisk : public testing::Test {
 protected:
  void SetUp() override {
    held = entered = false;
    base::file_ops().fsync = [](int) {
      if (held) entered = true;
      held.wait(true);
      return 0;
    };
  }
  void TearDown() override { base::file_ops() = saved_; }

  static void release() {
    held = false;
    held.notify_all();
  }

  template <typename Condition>
  static void await(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(condition());
  }

  // A thread that is inside an fsync from here on, with `first` bytes in the newest segment.
  std::jthread start_sync(SealedJournal& journal, std::size_t first) {
    journal.append(pattern(first));
    journal.flush();
    held = true;
    std::jthread syncing([&journal] { journal.sync(); });
    await([] { return entered.load(); });
    return syncing;
  }

  std::uintmax_t largest_segment() const {
    std::uintmax_t largest = 0;
    for (const auto& entry : std::filesystem::directory_iterator(place_))
      largest = std::max(largest, entry.file_size());
    return largest;
  }

  ScratchDirectory scratch_;
  std::filesystem::path place_ = scratch_ / "j";
  SecretKey key_ = test_key();
  JournalOptions options_{.sync = SyncPolicy::none, .segment_bytes = 64UL * 1024, .frame_bytes = 64U * 1024};

 private:
  base::FileOps saved_ = base::file_ops();
};

// The small one takes the room that the large one waits for; together they are more than a frame holds.
TEST_F(JournalBehindASlowDisk, ALargeRecordThatWaitedForRoomLooksForItAgain) {
  SealedJournal journal(place_, key_, options_);
  auto syncing = start_sync(journal, 40'000);
  journal.append(pattern(30'000));
  std::jthread large([&] { journal.append(Bytes(SealedJournal::kMaxRecordBytes)); });
  await([&] { return largest_segment() > 70'000; });  // it has made room, and waits with a full segment
  journal.append(pattern(100));
  release();
  large.join();
  syncing.join();
  journal.close();
  EXPECT_EQ(verify_journal(place_, key_), 4U);
}

TEST_F(JournalBehindASlowDisk, AFullSegmentTakesNoMoreFrames) {
  SealedJournal journal(place_, key_, options_);
  auto syncing = start_sync(journal, 10);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { journal.append(pattern(70'000)); });
  await([&] { return largest_segment() > 70'000; });
  std::this_thread::sleep_for(50ms);  // time for the others to do what they must not
  release();
  threads.clear();
  syncing.join();
  journal.close();
  EXPECT_LT(largest_segment(), 140'000U);
  EXPECT_EQ(verify_journal(place_, key_), 5U);
}

TEST_F(JournalBehindASlowDisk, ARecordAppendedWhileCloseSyncsIsRefused) {
  SealedJournal journal(place_, key_, options_);
  journal.append(pattern(10));
  journal.flush();
  held = true;
  std::jthread closing([&] { journal.close(); });
  await([] { return entered.load(); });
  EXPECT_EQ(code_of([&] { journal.append(pattern(10)); }), sluice::errc::misuse);
  EXPECT_EQ(code_of([&] { journal.flush(); }), sluice::errc::misuse);
  release();
  closing.join();
  EXPECT_EQ(verify_journal(place_, key_), 1U);
}

TEST_F(JournalBehindASlowDisk, ARecordThatWaitsForRoomWhileTheJournalIsClosedIsRefused) {
  SealedJournal journal(place_, key_, options_);
  auto syncing = start_sync(journal, 40'000);
  journal.append(pattern(30'000));
  auto waiting = std::async(std::launch::async, [&] { return journal.append(pattern(60'000)); });
  await([&] { return largest_segment() > 70'000; });
  std::jthread closing([&] { journal.close(); });
  std::this_thread::sleep_for(50ms);  // time for close() to come as far as it can
  release();
  closing.join();
  syncing.join();
  std::uint64_t last = 2;
  try {
    last = waiting.get();
  } catch (const error& refused) {
    EXPECT_EQ(refused.code(), sluice::errc::misuse);
  }
  EXPECT_EQ(verify_journal(place_, key_), last);
}

TEST_F(JournalBehindASlowDisk, ClosedByTwoThreadsIsClosedForBoth) {
  options_.sync = SyncPolicy::interval;
  options_.sync_interval = 1ms;
  SealedJournal journal(place_, key_, options_);
  held = true;
  journal.append(pattern(10));
  await([] { return entered.load(); });  // the journal's own thread, which both wait for
  const auto close = [&] {
    EXPECT_NO_THROW(journal.close());
    EXPECT_EQ(journal.durable_sequence(), 2U);
  };
  std::jthread first(close);
  std::jthread second(close);
  std::this_thread::sleep_for(20ms);
  release();
}

TEST(JournalThreads, EveryNumberThatAppendReturnedIsHeldAfterAClose) {
  const base::FileOps saved = base::file_ops();
  base::file_ops().fsync = [](int) {
    std::this_thread::sleep_for(1ms);
    return 0;
  };
  const auto key = test_key();
  for (int round = 0; round < 12; ++round) {
    const ScratchDirectory scratch;
    const auto policy = std::array{SyncPolicy::each, SyncPolicy::interval, SyncPolicy::none};
    SealedJournal journal(scratch / "j", key,
                          {.sync = policy.at(static_cast<std::size_t>(round) % 3),
                           .sync_interval = 1ms,
                           .segment_bytes = 64UL * 1024,
                           .frame_bytes = 4096});
    std::atomic<std::uint64_t> returned{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        const auto refused = code_of([&] {
          for (;;) {
            journal.append(pattern(900));
            returned.fetch_add(1);
          }
        });
        EXPECT_EQ(refused, sluice::errc::misuse);
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + round));
    journal.close();
    threads.clear();
    EXPECT_EQ(verify_journal(scratch / "j", key), returned.load());
    EXPECT_EQ(journal.next_sequence(), returned.load() + 1);
  }
  base::file_ops() = saved;
}

// ---- many threads ----

TEST(JournalThreads, ReadersFollowAWriterThroughRollsAndSyncs) {
  const ScratchDirectory scratch;
  const auto key = test_key();
  constexpr std::uint64_t kRecords = 20'000;
  SealedJournal journal(scratch / "j", key,
                        {.sync = SyncPolicy::interval,
                         .sync_interval = std::chrono::milliseconds(1),
                         .segment_bytes = 128UL * 1024,
                         .frame_bytes = 4096});
  const auto follow = [&] {
    JournalReader reader(scratch / "j", key, {}, 1);
    std::uint64_t expected = 1;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (expected <= kRecords && std::chrono::steady_clock::now() < deadline) {
      const auto next = reader.next();
      if (!next) {
        std::this_thread::yield();
        continue;
      }
      ASSERT_EQ(next->sequence, expected);
      ASSERT_EQ(next->bytes.size(), expected % 100);
      ++expected;
    }
    EXPECT_EQ(expected, kRecords + 1);
  };
  std::jthread first(follow);
  std::jthread second(follow);
  for (std::uint64_t i = 1; i <= kRecords; ++i) journal.append(pattern(i % 100));
  journal.close();
}

TEST(JournalThreads, SyncsRollsAndPrunesOverlapAppends) {
  const ScratchDirectory scratch;
  const auto key = test_key();
  SealedJournal journal(scratch / "j", key,
                        {.sync = SyncPolicy::interval,
                         .sync_interval = std::chrono::milliseconds(1),
                         .segment_bytes = 64UL * 1024,
                         .frame_bytes = 1024});
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) journal.append(pattern(200));
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 30; ++i) {
        journal.sync();
        journal.roll();
        journal.flush();
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 30; ++i) journal.prune_to_bytes(100UL * 1024);
    });
  }
  EXPECT_EQ(journal.next_sequence(), 3001U);
  const auto oldest = journal.oldest_sequence();
  journal.close();
  EXPECT_EQ(verify_journal(scratch / "j", key), 3001 - oldest);
}

}  // namespace
}  // namespace sluice::crypto::test
