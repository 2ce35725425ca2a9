// The sealed journal under several threads: group commit, and readers beside a writer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "file_ops.hpp"
#include "sluice/crypto/journal_reader.hpp"
#include "sluice/crypto/sealed_journal.hpp"
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
  const FileOps saved = file_ops();
  // A slow disk: while one fsync runs, the other threads queue up, and the next one serves them all.
  file_ops().fsync = [](int) {
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
  file_ops() = saved;
  EXPECT_LT(fsyncs.load(), kThreads * kEach * 3 / 4);
  journal.close();
  EXPECT_EQ(verify_journal(scratch / "j", key), static_cast<std::uint64_t>(kThreads * kEach));
}

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
