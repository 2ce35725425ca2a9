// Readers in processes of their own beside a writer that rolls, prunes, is killed and comes back, on each kind of
// file system that there is. ./run long ReadersBesideAWriter does so for minutes.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "shared_page.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using namespace std::chrono_literals;
using sluice::test::ChildProcess;
using sluice::test::SharedPage;

#ifdef SLUICE_SOAK
constexpr auto kTime = 20s;  // for each number of segments kept
constexpr std::array kKept{3, 60, 1000};
#else
constexpr auto kTime = 150ms;
constexpr std::array kKept{3};
#endif

const JournalOptions kManual{.sync = SyncPolicy::none};

struct Counts {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> appended{0}, read{0}, read_durable{0}, opened{0}, gaps{0}, kills{0};
};

Bytes record(std::uint64_t number) {
  return pattern(number % 90, static_cast<std::uint32_t>(number + 1));
}

void expect_right(const JournalRecord& got, std::uint64_t& expected) {
  EXPECT_TRUE(expected == 0 || got.sequence == expected) << got.sequence << ", not " << expected;
  const Bytes bytes = record(got.sequence);
  EXPECT_TRUE(std::ranges::equal(got.bytes, bytes)) << "record " << got.sequence;
  expected = got.sequence + 1;
}

class Scene {
 public:
  Scene(std::filesystem::path place, std::uint64_t kept) : place_(std::move(place)), kept_(kept) {}

  void run() {
    {
      SealedJournal journal(place_, key_, kManual);
      while (journal.next_sequence() <= kept_) {
        journal.append(record(journal.next_sequence()));
        journal.roll();
      }
    }
    std::mt19937 random(std::random_device{}());
    const auto end = std::chrono::steady_clock::now() + kTime;
    std::vector<std::unique_ptr<ChildProcess>> readers;
    readers.push_back(std::make_unique<ChildProcess>([&] { follow(ReadUpTo::written); }));
    readers.push_back(std::make_unique<ChildProcess>([&] { follow(ReadUpTo::durable); }));
    readers.push_back(std::make_unique<ChildProcess>([&] { open_again_and_again(); }));
    const auto all_had_a_turn = [&] {
      return counts_->appended > 0 && counts_->read > 0 && counts_->read_durable > 0 && counts_->opened > 0;
    };
    const auto more_time = [&](auto until) { return std::chrono::steady_clock::now() < until; };
    while (more_time(end) || (!all_had_a_turn() && more_time(end + 60s))) {
      const ChildProcess writer([&] { write(); });
      std::this_thread::sleep_for(std::chrono::microseconds(20'000 + kept_ * 1000 + random() % 30'000));
      ++counts_->kills;  // when the writer's object ends
    }
    counts_->stop = true;
    for (auto& reader : readers) {
      const auto status = reader->wait_for(60s);
      EXPECT_TRUE(status && status->ok());
    }
    EXPECT_GT(verify_journal(place_, key_), 0U);
    std::cout << place_.parent_path().string() << ", " << kept_ << " segments kept: " << counts_->appended
              << " records appended, " << counts_->read << " read, " << counts_->read_durable
              << " read when durable, " << counts_->opened << " readers opened, " << counts_->gaps
              << " gaps, " << counts_->kills << " kills\n";
    EXPECT_TRUE(all_had_a_turn());
  }

 private:
  void write() const {
    std::mt19937 random(std::random_device{}());
    SealedJournal journal(place_, key_, kManual);
    for (;;) {
      for (auto i = random() % 5; i-- > 0;) {
        journal.append(record(journal.next_sequence()));
        ++counts_->appended;
        if (random() % 2 == 0) journal.flush();
      }
      if (random() % 3 == 0) journal.sync();
      if (random() % 2 == 0) journal.roll();
      const auto kept = 3 * kept_;  // records; a segment has about three
      if (journal.next_sequence() > kept) journal.prune_before(journal.next_sequence() - kept);
    }
  }

  // From one record to the next; past a gap only if it was left behind.
  void follow(ReadUpTo reach) const {
    auto& count = reach == ReadUpTo::durable ? counts_->read_durable : counts_->read;
    std::uint64_t expected = 0;
    while (!counts_->stop) {
      try {
        JournalReader reader(place_, key_, {}, 0, reach);
        EXPECT_GE(reader.position(), expected == 0 ? 0 : expected) << "it was no gap";
        expected = 0;
        while (!counts_->stop && !testing::Test::HasFailure()) {
          if (const auto next = reader.next()) {
            expect_right(*next, expected);
            ++count;
          }
        }
      } catch (const error& told) {
        if (told.code() != errc::gap) throw;
        ++counts_->gaps;
      }
    }
  }

  void open_again_and_again() const {
    std::mt19937 random(std::random_device{}());
    std::uint64_t from = 0;
    while (!counts_->stop && !testing::Test::HasFailure()) {
      try {
        JournalReader reader(place_, key_, {}, random() % 2 == 0 ? 0 : from);
        ++counts_->opened;
        std::uint64_t expected = reader.position();
        for (auto i = random() % 20; i-- > 0;) {
          if (const auto next = reader.next()) expect_right(*next, expected);
        }
        from = expected;
      } catch (const error& told) {
        if (told.code() != errc::gap) throw;
        ++counts_->gaps;
        from = 0;
      }
    }
  }

  const std::filesystem::path place_;
  const std::uint64_t kept_;
  const SecretKey key_ = test_key();
  const SharedPage<Counts> counts_;
};

/// A directory of this test's on the file system that holds `parent`.
class PlaceOn {
 public:
  explicit PlaceOn(const std::filesystem::path& parent) {
    std::string name = (parent / "sluice-readers-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  PlaceOn(const PlaceOn&) = delete;
  PlaceOn& operator=(const PlaceOn&) = delete;
  ~PlaceOn() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class ReadersBesideAWriter : public testing::TestWithParam<const char*> {
 protected:
  // A kill takes nothing that the system was given, so nothing need be synced for real.
  void SetUp() override {
    base::file_ops().fsync = [](int) { return 0; };
  }
  void TearDown() override { base::file_ops() = saved_; }

 private:
  base::FileOps saved_ = base::file_ops();
};

TEST_P(ReadersBesideAWriter, GetEveryRecordOnceAndInOrder) {
  for (const int kept : kKept) {
    const PlaceOn place(GetParam());
    if (place.path().empty()) GTEST_SKIP() << "no " << GetParam() << " to write to";
    Scene(place.path() / "journal", static_cast<std::uint64_t>(kept)).run();
  }
}

INSTANTIATE_TEST_SUITE_P(On, ReadersBesideAWriter, testing::Values("/var/tmp", "/dev/shm"),
                         [](const auto& tested) { return tested.index == 0 ? "Disk" : "Memory"; });

// The journal begins in the lower layer, from where its files are copied up.
TEST_P(ReadersBesideAWriter, GetEveryRecordOnceAndInOrderThroughAnOverlay) {
  for (const int kept : kKept) {
    const PlaceOn place(GetParam());
    if (place.path().empty()) GTEST_SKIP() << "no " << GetParam() << " to write to";
    for (const char* const layer : {"lower", "upper", "work", "merged"})
      std::filesystem::create_directory(place.path() / layer);
    {
      SealedJournal journal(place.path() / "lower/journal", test_key(), kManual);
      for (std::uint64_t number = 1; number < 20; ++number) {
        journal.append(record(number));
        if (number % 2 == 0) journal.roll();
      }
    }
    constexpr int kNoOverlay = 77;
    ChildProcess mounted([&] {
      const std::string top = place.path().string();
      const std::string layers =
          "lowerdir=" + top + "/lower,upperdir=" + top + "/upper,workdir=" + top + "/work";
      const std::string merged = top + "/merged";
      if (::unshare(CLONE_NEWNS) < 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
          ::mount("overlay", merged.c_str(), "overlay", 0, layers.c_str()) < 0)
        return kNoOverlay;
      Scene(place.path() / "merged/journal", static_cast<std::uint64_t>(kept)).run();
      return 0;
    });
    const auto status = mounted.wait_for(kTime + 120s);
    ASSERT_TRUE(status);
    if (status->code == kNoOverlay) GTEST_SKIP() << "no overlayfs can be mounted here";
    EXPECT_TRUE(status->ok()) << to_string(*status);
  }
}

}  // namespace
}  // namespace sluice::crypto::test
