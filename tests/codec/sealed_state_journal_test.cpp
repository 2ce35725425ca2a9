// The sealed journal of a state: its numbers, what it keeps, a torn end, a full disk, other keys.
#include "sluice/codec/sealed/sealed_state_journal.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "child_process.hpp"
#include "peers.hpp"
#include "sluice/codec.hpp"
#include "state_stores.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using codec::SealedStateJournal;
using codec::SealedStateJournalOptions;

class SealedStateJournals : public ::testing::Test {
 protected:
  std::shared_ptr<SealedStateJournal> open(const SealedStateJournalOptions& options = {},
                                           unsigned char key = 7) const {
    return std::make_shared<SealedStateJournal>(directory_.path(), test_key(key), options);
  }
  static std::string text_at(SealedStateJournal& journal, std::uint64_t number) {
    const auto reader = journal.read(number);
    const auto record = reader->next();
    if (!record || record->number != number) return "nothing";
    return {reinterpret_cast<const char*>(record->bytes.data()), record->bytes.size()};
  }
  fs::path newest_segment() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(directory_.path()))
      if (entry.path().extension() == ".agcj") all.push_back(entry.path());
    return *std::max_element(all.begin(), all.end());
  }

  Watchdog watchdog_{60s, "sealed journals of states"};
  scratch::ScratchDirectory directory_;
};

TEST_F(SealedStateJournals, NumberTheirRecordsInARangeOfTheirOwnAndGoOnWhenOpenedAgain) {
  std::uint64_t first = 0;
  {
    const auto journal = open();
    first = journal->append(to_bytes("one"));
    EXPECT_EQ(first % codec::kJournalRange, 1U);
    EXPECT_GT(first, codec::kJournalRange);
    EXPECT_EQ(journal->append(to_bytes("two")), first + 1);
    EXPECT_EQ(text_at(*journal, first), "one");
  }
  const auto journal = open();
  EXPECT_EQ(journal->oldest(), first);
  EXPECT_EQ(journal->next(), first + 2);
  EXPECT_EQ(journal->append(to_bytes("three")), first + 2);
  EXPECT_EQ(text_at(*journal, first + 1), "two");
  EXPECT_EQ(text_at(*journal, first + 2), "three");
  const scratch::ScratchDirectory elsewhere;
  SealedStateJournal other(elsewhere.path(), test_key());
  EXPECT_NE(other.next() / codec::kJournalRange, first / codec::kJournalRange);  // but once in 8 million
}

TEST_F(SealedStateJournals, KeepAsMuchAsTheyMay) {
  const auto journal = open({.retain_bytes = std::uint64_t{1} << 20});
  const std::uint64_t first = journal->next();
  for (int i = 0; i < 3000; ++i) journal->append(to_bytes(std::string(1000, 'x') + std::to_string(i)));
  EXPECT_GT(journal->oldest(), first + 1800);
  EXPECT_LT(journal->oldest(), first + 2200);
  EXPECT_EQ(text_at(*journal, journal->oldest()).substr(1000), std::to_string(journal->oldest() - first));
  EXPECT_THROW(open({.retain_bytes = 1000}), error);
}

TEST_F(SealedStateJournals, HaveOneWriter) {
  const auto journal = open();
  EXPECT_TRUE(throws(errc::busy, "", [&] { (void)open(); }));
}

TEST_F(SealedStateJournals, LoseATornRecordOnly) {
  ChildProcess killed([&] {
    const auto journal = open();
    journal->append(to_bytes("one"));
    journal->append(to_bytes("two"));
    ::raise(SIGKILL);
  });
  (void)killed.wait_for(30s);
  fs::resize_file(newest_segment(), fs::file_size(newest_segment()) - 3);
  const auto journal = open();
  EXPECT_GT(journal->recovery().torn_bytes, 0U);
  const std::uint64_t first = journal->oldest();
  EXPECT_EQ(journal->next(), first + 1);
  EXPECT_EQ(journal->append(to_bytes("another two")), first + 1);
  EXPECT_EQ(text_at(*journal, first + 1), "another two");
}

TEST_F(SealedStateJournals, AreRefusedWithAnotherKeyAndOpenedWithAnOldOne) {
  std::uint64_t first = 0;
  {
    const auto journal = open();
    first = journal->append(to_bytes("one"));
  }
  EXPECT_THROW(open({}, 8), error);
  EXPECT_THROW(open({.context = "another state"}), error);
  crypto::KeyRing old;
  old.add(test_key(7));
  SealedStateJournal journal(directory_.path(), test_key(8), {}, std::move(old));
  journal.append(to_bytes("two"));
  EXPECT_EQ(text_at(journal, first), "one");
  EXPECT_EQ(text_at(journal, first + 1), "two");
}

TEST_F(SealedStateJournals, SealTextsByTheirKeyAndContext) {
  const auto seal = [&](const char* context, unsigned char key, const char* text) {
    const scratch::ScratchDirectory fresh;
    return SealedStateJournal(fresh.path(), test_key(key), {.context = context}).seal(to_bytes(text));
  };
  const auto one = seal("a", 7, "text");
  EXPECT_EQ(seal("a", 7, "text"), one);
  EXPECT_NE(seal("b", 7, "text"), one);
  EXPECT_NE(seal("a", 8, "text"), one);
  EXPECT_NE(seal("a", 7, "texs"), one);
}

TEST_F(SealedStateJournals, BelongToTheProcessThatMadeThem) {
  const auto journal = open();
  journal->append(to_bytes("one"));
  ChildProcess child([&] {
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { journal->append(to_bytes("two")); }));
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)journal->next(); }));
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)journal->read(1); }));
  });
  const auto status = child.wait_for(30s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  EXPECT_EQ(journal->append(to_bytes("two")) % codec::kJournalRange, 2U);
}

/// The child's files may not grow any more, or may again.
void limit_files(rlim_t bytes) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST_F(SealedStateJournals, ThatAreFullRefuseUpdatesAndGoOnOnceThereIsRoom) {
  ChildProcess child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const auto journal = open();
    codec::ObservableState<std::string> state("none", {.journal = journal});
    codec::Registry registry;
    registry.actor("a").state("s", state);
    Peers peers({.registry = &registry});
    auto stream = peers.client.observe<std::string>("a", "s");
    const auto drain = [&] {
      std::vector<std::string> values;
      for (int i = 0; i < 4; ++i) {
        (void)peers.server.poll();
        (void)peers.client.poll();
        while (const std::string* const value = stream.try_next()) values.push_back(*value);
      }
      return values;
    };
    state = "before";
    EXPECT_EQ(drain(), (std::vector<std::string>{"before"}));
    const std::uint64_t newest = journal->next() - 1;
    limit_files(fs::file_size(newest_segment()) + 10);  // in the middle of the next record
    EXPECT_THROW(state = "lost", error);
    limit_files(64);  // not even a new segment
    EXPECT_THROW(state = "lost again", error);
    EXPECT_EQ(state.get(), "before");
    EXPECT_EQ(drain(), std::vector<std::string>{});
    limit_files(RLIM_INFINITY);
    state = "after";
    EXPECT_EQ(drain(), std::vector<std::string>{"after"});
    EXPECT_EQ(journal->next(), newest + 2);
    EXPECT_EQ(codec::newest_value<std::string>(*journal), "after");
  });
  const auto status = child.wait_for(30s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  const auto journal = open();
  EXPECT_EQ(codec::newest_value<std::string>(*journal), "after");
}

}  // namespace
}  // namespace sluice::test
