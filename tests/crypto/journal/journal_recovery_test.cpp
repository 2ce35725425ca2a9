// Opening a journal reads what came after the last sync that a frame tells of, however long it is.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "sluice/crypto/journal/journal_format.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

// Bytes that this process has read from anything, so far.
std::optional<std::uint64_t> bytes_read() {
  std::ifstream io("/proc/self/io");
  for (std::string word; io >> word;) {
    std::uint64_t count = 0;
    if (word == "rchar:" && io >> count) return count;
  }
  return std::nullopt;
}

class LongJournal : public testing::Test {
 protected:
  void SetUp() override {
    if (!bytes_read()) GTEST_SKIP() << "no /proc/self/io here";
    auto journal = open();
    const auto record = pattern(1024);
    for (std::uint64_t number = 1; number <= kRecords; ++number) {
      journal.append(record);
      if (number % 512 == 0) journal.sync();
    }
    journal.close();
  }

  SealedJournal open() const {
    return {scratch_ / "journal", test_key(), {.sync = SyncPolicy::none, .segment_bytes = 32UL << 20U}};
  }
  // What recovery reads, and what it finds.
  std::pair<std::uint64_t, JournalRecovery> recover() const {
    const auto before = *bytes_read();
    const auto journal = open();
    return {*bytes_read() - before, journal.recovery()};
  }
  std::filesystem::path last_segment() const {
    std::filesystem::path last;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_ / "journal")) {
      if (entry.path().extension() == ".agcj") last = std::max(last, entry.path());
    }
    return last;
  }

  static constexpr std::uint64_t kMost = 2UL << 20U;
  static constexpr std::uint64_t kRecords = 80UL * 1024;  // 80 MiB, the last segment 16 of them
  ScratchDirectory scratch_;
};

TEST_F(LongJournal, IsRecoveredFromItsEndAfterACleanClose) {
  const auto [read, recovery] = recover();
  EXPECT_EQ(recovery.next_sequence, kRecords + 1);
  EXPECT_EQ(recovery.torn_bytes, 0U);
  EXPECT_LT(read, kMost);
}

TEST_F(LongJournal, IsRecoveredFromItsEndWhenThatIsTorn) {
  const auto segment = last_segment();
  std::filesystem::resize_file(segment, std::filesystem::file_size(segment) - FrameHeader::kSize - 10);
  const auto [read, recovery] = recover();
  EXPECT_LE(recovery.next_sequence, kRecords);
  EXPECT_GT(recovery.torn_bytes, 0U);
  EXPECT_LT(read, kMost);
}

}  // namespace
}  // namespace sluice::crypto::test
