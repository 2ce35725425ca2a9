#include "sluice/ipc/checkpoint/checkpoint.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "shared_page.hpp"
#include "sluice/base/error.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using std::chrono::system_clock;

constexpr system_clock::time_point kStart{1'800'000'000s};

// Clocks that the test moves.
class Clocks {
 public:
  CheckpointOptions options(std::chrono::nanoseconds expiry = 300s) {
    return {.expiry = expiry, .clock = [this] { return now; }};
  }
  void pass(std::chrono::nanoseconds time) {
    now.wall += time;
    now.since_boot += time;
  }
  void reboot() {
    now.since_boot = 10s;
    ++now.boot[3];
  }

  CheckpointMoment now{kStart, 5000s, {1, 2, 3}};
};

StreamCheckpoint sample(system_clock::time_point time = kStart) {
  return {.session = {1, 2, 3, 255},
          .stream = {9, 8, 7},
          .sequence = 0x1'0000'0007,
          .position = std::numeric_limits<ring::Position>::max() - 7,
          .target = std::string("snapshot\0 42 \xff", 14),
          .time = time};
}

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_all(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::size_t entries_of(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), {}));
}

// The promises of the interface, for each implementation.
enum class Kind : std::uint8_t { memory, file };

class Checkpoints : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<CheckpointStorage> open(std::chrono::nanoseconds expiry = 300s) {
    if (GetParam() == Kind::memory) return std::make_unique<MemoryCheckpoints>(clocks_.options(expiry));
    return std::make_unique<FileCheckpoints>(home_.path(), clocks_.options(expiry));
  }

  Watchdog watchdog_{60s, "Checkpoints"};
  TempDirectory home_;
  Clocks clocks_;
};

INSTANTIATE_TEST_SUITE_P(Storages, Checkpoints, ::testing::Values(Kind::memory, Kind::file),
                         [](const auto& kind) { return kind.param == Kind::memory ? "Memory" : "File"; });

TEST_P(Checkpoints, GivesBackEveryFieldThatWasStored) {
  const auto storage = open();
  storage->store("orders", sample());
  const LoadedCheckpoint loaded = storage->load("orders");
  EXPECT_EQ(loaded.state, CheckpointState::found);
  EXPECT_EQ(loaded.checkpoint, sample());
  EXPECT_EQ(loaded.age, 0s);
}

TEST_P(Checkpoints, KeepsOneCheckpointForEachKeyTheLastOne) {
  const auto storage = open();
  storage->store("a", sample());
  storage->store("b", sample());
  StreamCheckpoint later = sample();
  later.sequence = 8;
  later.target.clear();
  storage->store("a", later);
  EXPECT_EQ(storage->load("a").checkpoint, later);
  EXPECT_EQ(storage->load("b").checkpoint, sample());
}

TEST_P(Checkpoints, TellsMissingFromExpired) {
  const auto storage = open();
  EXPECT_EQ(storage->load("orders").state, CheckpointState::missing);
  storage->store("orders", sample());
  clocks_.pass(300s - 1ns);
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
  clocks_.pass(1ns);
  const LoadedCheckpoint expired = storage->load("orders");
  EXPECT_EQ(expired.state, CheckpointState::expired);
  EXPECT_EQ(expired.checkpoint, sample()) << "the caller must be able to say what is gone";
  EXPECT_EQ(expired.age, 300s);
}

TEST_P(Checkpoints, IsFreshAgainOnceStoredAgain) {
  const auto storage = open();
  storage->store("orders", sample());
  clocks_.pass(1000s);
  storage->store("orders", sample(clocks_.now.wall));
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
}

TEST_P(Checkpoints, CountsTheAgeThatACheckpointHadWhenItWasStored) {
  const auto storage = open();
  storage->store("orders", sample(kStart - 200s));
  clocks_.pass(99s);
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
  clocks_.pass(1s);
  EXPECT_EQ(storage->load("orders").state, CheckpointState::expired);
}

TEST_P(Checkpoints, TakesACheckpointFromTheFutureAsFreshButNotForLonger) {
  const auto storage = open();
  storage->store("orders", sample(kStart + std::chrono::hours(24)));
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
  clocks_.pass(300s);
  EXPECT_EQ(storage->load("orders").state, CheckpointState::expired);
}

TEST_P(Checkpoints, IgnoresJumpsOfTheWallClock) {
  const auto storage = open();
  storage->store("orders", sample());
  clocks_.now.wall += std::chrono::hours(24 * 365);
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
  clocks_.now.wall = kStart - std::chrono::hours(24 * 365);
  clocks_.now.since_boot += 299s;
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
  clocks_.now.since_boot += 1s;
  EXPECT_EQ(storage->load("orders").state, CheckpointState::expired);
}

TEST_P(Checkpoints, SaysWhetherThereWasSomethingToRemove) {
  const auto storage = open();
  EXPECT_FALSE(storage->remove("orders"));
  storage->store("orders", sample());
  EXPECT_TRUE(storage->remove("orders"));
  EXPECT_EQ(storage->load("orders").state, CheckpointState::missing);
}

TEST_P(Checkpoints, RefusesKeysThatAreNoNames) {
  const auto storage = open();
  const std::vector<std::string> bad{
      "", ".hidden", "..", "a/b", "../a", "a b", std::string("a\0b", 3), "é", std::string(65, 'k')};
  for (const std::string& key : bad) {
    EXPECT_TRUE(throws(errc::bad_name, "checkpoint key", [&] { storage->store(key, sample()); })) << key;
    EXPECT_TRUE(throws(errc::bad_name, "checkpoint key", [&] { storage->load(key); })) << key;
    EXPECT_TRUE(throws(errc::bad_name, "checkpoint key", [&] { storage->remove(key); })) << key;
  }
  const std::string longest(64, 'k');
  storage->store(longest, sample());
  EXPECT_EQ(storage->load(longest).checkpoint, sample());
}

TEST_P(Checkpoints, TakesATargetOf4096BytesAndNoMore) {
  const auto storage = open();
  StreamCheckpoint checkpoint = sample();
  checkpoint.target.assign(kMaxTargetBytes, 't');
  storage->store("orders", checkpoint);
  StreamCheckpoint larger = checkpoint;
  larger.target += 't';
  EXPECT_TRUE(throws(errc::bad_option, "at most 4096", [&] { storage->store("orders", larger); }));
  EXPECT_EQ(storage->load("orders").checkpoint, checkpoint) << "the refused one must leave this one alone";
}

TEST_P(Checkpoints, RefusesATimeBefore1970AndAnExpiryOfNothing) {
  const auto storage = open();
  EXPECT_TRUE(throws(errc::bad_option, "1970",
                     [&] { storage->store("orders", sample(system_clock::time_point(-1s))); }));
  EXPECT_TRUE(throws(errc::bad_option, "more than 0", [&] { open(0s); }));
  storage->store("orders", sample(system_clock::time_point{}));
  EXPECT_EQ(storage->load("orders").state, CheckpointState::expired);
}

TEST_P(Checkpoints, CanBeKeptForEver) {
  const auto storage = open(std::chrono::nanoseconds::max());
  storage->store("orders", sample(system_clock::time_point{}));
  clocks_.pass(std::chrono::hours(24 * 365 * 100));
  EXPECT_EQ(storage->load("orders").state, CheckpointState::found);
}

TEST_P(Checkpoints, MayBeUsedFromSeveralThreads) {
  const auto storage = open();
  const auto work = [&](const std::string& own) {
    for (ring::Sequence i = 1; i <= 50; ++i) {
      StreamCheckpoint checkpoint = sample();
      checkpoint.sequence = i;
      storage->store(own, checkpoint);
      storage->store("shared", checkpoint);
      EXPECT_EQ(storage->load(own).checkpoint.sequence, i);
      EXPECT_EQ(storage->load("shared").state, CheckpointState::found);
    }
  };
  std::thread other(work, "a");
  work("b");
  other.join();
}

TEST(MemoryCheckpoints, RefusesANewKeyWhenItIsFullUntilSomethingExpires) {
  Clocks clocks;
  MemoryCheckpoints storage(clocks.options(), 2);
  storage.store("a", sample());
  clocks.pass(100s);
  storage.store("b", sample(clocks.now.wall));
  EXPECT_TRUE(throws(std::errc::no_space_on_device, "all 2 places",
                     [&] { storage.store("c", sample(clocks.now.wall)); }));
  storage.store("b", sample(clocks.now.wall));
  clocks.pass(200s);
  storage.store("c", sample(clocks.now.wall));
  EXPECT_EQ(storage.load("a").state, CheckpointState::missing);
  EXPECT_EQ(storage.load("b").state, CheckpointState::found);
  EXPECT_TRUE(throws(errc::bad_option, "at least 1", [&] { const MemoryCheckpoints none({}, 0); }));
}

class CheckpointFile : public ::testing::Test {
 protected:
  fs::path file(const std::string& key = "orders") const { return home_.file(key + ".checkpoint"); }

  Watchdog watchdog_{60s, "CheckpointFile"};
  TempDirectory home_;
  Clocks clocks_;
};

TEST_F(CheckpointFile, IsReadByTheNextProcess) {
  FileCheckpoints(home_.path()).store("orders", sample(system_clock::now()));
  ChildProcess child([&] {
    const LoadedCheckpoint loaded = FileCheckpoints(home_.path()).load("orders");
    EXPECT_EQ(loaded.state, CheckpointState::found);
    EXPECT_EQ(loaded.checkpoint.target, sample().target);
    EXPECT_LT(loaded.age, 60s);
  });
  const auto status = child.wait_for(10s);
  EXPECT_TRUE(status && status->ok());
  struct stat info {};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST_F(CheckpointFile, HasTheBytesThatTheHeaderDraws) {
  clocks_.now.boot.fill(0xb0);
  StreamCheckpoint checkpoint = sample(kStart - 1s);
  checkpoint.target = "xyz";
  FileCheckpoints(home_.path(), clocks_.options()).store("key", checkpoint);
  const std::string bytes = read_all(file("key"));
  const auto number = [&](std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8U | static_cast<std::uint8_t>(bytes[at + i]);
    return value;
  };
  ASSERT_EQ(bytes.size(), 112U + 3 + 3 + 4);
  EXPECT_EQ(bytes.substr(0, 8), std::string("SLUICE\0C", 8));
  EXPECT_EQ(number(8, 4), 1U);
  EXPECT_EQ(number(12, 4), bytes.size());
  EXPECT_EQ(bytes.substr(16, 4), "\x01\x02\x03\xff");
  EXPECT_EQ(bytes.substr(32, 3), "\x09\x08\x07");
  EXPECT_EQ(number(48, 8), checkpoint.sequence);
  EXPECT_EQ(number(56, 8), checkpoint.position);
  EXPECT_EQ(number(64, 8), 1'799'999'999'000'000'000U);
  EXPECT_EQ(bytes.substr(72, 16), std::string(16, '\xb0'));
  EXPECT_EQ(number(88, 8), 5'000'000'000'000U);
  EXPECT_EQ(number(96, 8), 1'000'000'000U);
  EXPECT_EQ(number(104, 4), 3U);
  EXPECT_EQ(number(108, 4), 3U);
  EXPECT_EQ(bytes.substr(112, 6), "keyxyz");
  // CRC-32C, bit by bit.
  std::uint32_t sum = 0xffff'ffff;
  for (const char byte : bytes.substr(0, bytes.size() - 4)) {
    sum ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1U ^ ((sum & 1U) != 0 ? 0x82f6'3b78U : 0U);
  }
  EXPECT_EQ(number(bytes.size() - 4, 4), ~sum);
}

TEST_F(CheckpointFile, IsMeasuredByTheWallClockAfterAReboot) {
  FileCheckpoints storage(home_.path(), clocks_.options());
  storage.store("orders", sample());
  clocks_.reboot();
  clocks_.now.wall = kStart + 299s;
  EXPECT_EQ(storage.load("orders").state, CheckpointState::found);
  clocks_.now.wall = kStart + 300s;
  EXPECT_EQ(storage.load("orders").state, CheckpointState::expired);
}

TEST_F(CheckpointFile, FromTheFutureExpiresAfterARebootByTheTimeSinceTheBoot) {
  FileCheckpoints storage(home_.path(), clocks_.options());
  storage.store("orders", sample());
  clocks_.reboot();
  clocks_.now.wall = kStart - std::chrono::hours(24);
  EXPECT_EQ(storage.load("orders").state, CheckpointState::found);
  clocks_.now.since_boot = 300s;
  EXPECT_EQ(storage.load("orders").state, CheckpointState::expired);
}

TEST_F(CheckpointFile, RefusesEveryCutAndEveryExtension) {
  FileCheckpoints storage(home_.path(), clocks_.options());
  storage.store("orders", sample());
  const std::string whole = read_all(file());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write_all(file(), whole.substr(0, bytes));
    EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, file().native(), [&] { storage.load("orders"); }))
        << bytes;
  }
  for (const std::size_t more : {std::size_t{1}, std::size_t{5000}}) {
    write_all(file(), whole + std::string(more, '\0'));
    EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, "bytes", [&] { storage.load("orders"); })) << more;
  }
  write_all(file(), whole);
  EXPECT_EQ(storage.load("orders").checkpoint, sample());
}

TEST_F(CheckpointFile, RefusesEveryFlippedBit) {
  FileCheckpoints storage(home_.path(), clocks_.options());
  storage.store("orders", sample());
  const std::string whole = read_all(file());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    write_all(file(), damaged);
    const checkpoint_errc expected =
        bit / 32 == 2 ? checkpoint_errc::bad_version : checkpoint_errc::bad_checkpoint;
    EXPECT_TRUE(throws(expected, file().native(), [&] { storage.load("orders"); })) << "bit " << bit;
  }
}

TEST_F(CheckpointFile, RefusesWhatIsNotTheCheckpointOfItsKey) {
  FileCheckpoints storage(home_.path(), clocks_.options());
  storage.store("other", sample());
  fs::copy_file(file("other"), file());
  EXPECT_TRUE(
      throws(checkpoint_errc::bad_checkpoint, "checkpoint of \"other\"", [&] { storage.load("orders"); }));
  write_all(file(), std::string(200, 'x'));
  EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, "SLUICE", [&] { storage.load("orders"); }));
  fs::remove(file());
  fs::create_symlink(file("other"), file());
  EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, "symbolic link", [&] { storage.load("orders"); }));
  fs::remove(file());
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  EXPECT_TRUE(throws(checkpoint_errc::bad_checkpoint, "regular file", [&] { storage.load("orders"); }));
}

TEST_F(CheckpointFile, CanBeReplacedOrRemovedWhenItIsDamaged) {
  FileCheckpoints storage(home_.path(), clocks_.options());
  write_all(file(), "rubbish");
  EXPECT_TRUE(storage.remove("orders"));
  write_all(file(), "rubbish");
  storage.store("orders", sample());
  EXPECT_EQ(storage.load("orders").checkpoint, sample());
}

TEST_F(CheckpointFile, RefusesADirectoryThatOthersCanWriteTo) {
  for (const mode_t mode : {0770U, 0707U, 01777U}) {
    ::chmod(home_.path().c_str(), mode);
    EXPECT_TRUE(throws(errc::unsafe_place, "written by others",
                       [&] { const FileCheckpoints storage(home_.path()); }));
  }
  ::chmod(home_.path().c_str(), 0700);
  EXPECT_TRUE(throws(std::errc::no_such_file_or_directory, "nowhere",
                     [&] { const FileCheckpoints storage(home_.file("nowhere")); }));
}

TEST_F(CheckpointFile, RemovesTheDraftsOfDeadWritersOnly) {
  const fs::path dead = home_.file(".orders.checkpoint.sluice-new");
  const fs::path alive = home_.file(".ticks.checkpoint.sluice-new");
  const fs::path foreign = home_.file(".orders.sluice-new");
  for (const fs::path& path : {dead, alive, foreign}) write_all(path, "half");
  const Descriptor writer(::open(alive.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(writer.get(), LOCK_EX), 0);
  const FileCheckpoints storage(home_.path());
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(alive));
  EXPECT_TRUE(fs::exists(foreign));
}

TEST_F(CheckpointFile, IsTheOldOrTheNewOneWheneverItsWriterIsKilled) {
  constexpr int kKills = 200;
  constexpr auto kTime = 10s;  // fewer kills on a disk that is slow
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const auto start = std::chrono::steady_clock::now();
  const SharedPage<std::atomic<ring::Sequence>> stored;  // what store() came back from
  std::chrono::nanoseconds one_store{};  // with the start of its process; the disk's speed decides
  int kills = 0;
  for (; kills < kKills && std::chrono::steady_clock::now() - start < kTime; ++kills) {
    const auto forked = std::chrono::steady_clock::now();
    ChildProcess writer([&] {
      FileCheckpoints storage(home_.path(), clocks_.options());
      for (ring::Sequence next = *stored + 1;; ++next) {
        StreamCheckpoint checkpoint = sample();
        checkpoint.sequence = next;
        checkpoint.target.assign(next % (kMaxTargetBytes + 1), static_cast<char>(next));
        storage.store("orders", checkpoint);
        *stored = next;
      }
    });
    if (kills == 0) {
      while (*stored == 0 && !writer.ended_within(0ms)) std::this_thread::yield();
      one_store = std::chrono::steady_clock::now() - forked;
    } else {
      std::this_thread::sleep_for(one_store * (random() % 3000) / 1000);
    }
    writer.signal(SIGKILL);
    ASSERT_TRUE(writer.wait_for(10s));
    const FileCheckpoints storage(home_.path(), clocks_.options());
    const ring::Sequence done = *stored;
    const LoadedCheckpoint loaded = storage.load("orders");
    ASSERT_EQ(loaded.state, CheckpointState::found);
    const ring::Sequence sequence = loaded.checkpoint.sequence;
    ASSERT_TRUE(sequence == done || sequence == done + 1) << sequence << " after " << done;
    ASSERT_EQ(loaded.checkpoint.target,
              std::string(sequence % (kMaxTargetBytes + 1), static_cast<char>(sequence)));
    ASSERT_EQ(entries_of(home_.path()), 1U) << "a draft was left behind";
  }
  std::printf("%d kills, %llu checkpoints\n", kills, static_cast<unsigned long long>(*stored));
}

TEST_F(CheckpointFile, IsNeverSeenHalfWrittenByAReader) {
  ChildProcess writer([&] {
    FileCheckpoints storage(home_.path(), clocks_.options());
    for (ring::Sequence next = 1;; ++next) {
      StreamCheckpoint checkpoint = sample();
      checkpoint.sequence = next;
      storage.store("orders", checkpoint);
    }
  });
  FileCheckpoints storage(home_.path(), clocks_.options());
  ring::Sequence last = 0;
  for (int different = 0; different < 100;) {
    const ring::Sequence now = storage.load("orders").checkpoint.sequence;
    ASSERT_GE(now, last);
    if (now != last) ++different;
    last = now;
  }
}

// In a mount namespace of its own, which ends with the process.
bool mount_tiny_disk(const fs::path& directory) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=16k,mode=0700") == 0;
}

TEST_F(CheckpointFile, KeepsTheOldOneWhenTheDiskIsFull) {
  constexpr int kNoMount = 77;
  ChildProcess child([&]() -> int {
    if (!mount_tiny_disk(home_.path())) return kNoMount;
    FileCheckpoints storage(home_.path(), clocks_.options());
    storage.store("orders", sample());
    try {
      std::ofstream filler(home_.file("filler"), std::ios::binary);
      while (filler << std::string(1024, 'f') << std::flush) {
      }
      StreamCheckpoint larger = sample();
      larger.target.assign(kMaxTargetBytes, 't');
      EXPECT_TRUE(throws(std::errc::no_space_on_device, "orders.checkpoint",
                         [&] { storage.store("orders", larger); }));
      EXPECT_EQ(storage.load("orders").checkpoint, sample());
      EXPECT_EQ(entries_of(home_.path()), 2U) << "the draft is gone";
    } catch (const std::exception& failure) {
      ADD_FAILURE() << failure.what();
    }
    return 0;
  });
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status);
  if (status->code == kNoMount)
    GTEST_SKIP() << "mounting a tmpfs in a namespace of its own isn't allowed here";
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

TEST(InheritedCheckpoints, AreRefusedAndStay) {
  const Watchdog watchdog(60s, "InheritedCheckpoints");
  const TempDirectory home;
  FileCheckpoints in_files(home.path());
  MemoryCheckpoints in_memory;
  for (CheckpointStorage* storage : std::initializer_list<CheckpointStorage*>{&in_files, &in_memory}) {
    storage->store("orders", sample());
    ChildProcess child([&] {
      EXPECT_TRUE(throws(errc::misuse, "fork", [&] { storage->store("orders", StreamCheckpoint{}); }));
      EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)storage->load("orders"); }));
      EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)storage->remove("orders"); }));
      FileCheckpoints own(home.path());
      EXPECT_EQ(own.load("orders").checkpoint, sample());
    });
    const auto status = child.wait_for(30s);
    EXPECT_TRUE(status && status->ok());
    EXPECT_EQ(storage->load("orders").checkpoint, sample());
  }
}

TEST(CheckpointMoment, GoesForwardWithinOneBoot) {
  const CheckpointMoment before = checkpoint_moment();
  const CheckpointMoment after = checkpoint_moment();
  EXPECT_EQ(before.boot, after.boot);
  EXPECT_LE(before.since_boot, after.since_boot);
  EXPECT_NE(before.boot, decltype(before.boot){}) << "the kernel's boot id";
}

}  // namespace
}  // namespace sluice::test
