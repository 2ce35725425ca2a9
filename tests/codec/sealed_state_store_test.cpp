// States in sealed files: other processes, damage, foreign files, kills and a full disk; and snapshots.
#include "sluice/codec/sealed/sealed_state_store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "child_process.hpp"
#include "shared_page.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/codec/sealed/snapshot.hpp"
#include "sluice/codec/typed_state.hpp"
#include "sluice/crypto/seal/files.hpp"
#include "state_stores.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using codec::SealedStateStore;
using codec::StateVersion;

class SealedStates : public ::testing::Test {
 protected:
  fs::path file(const std::string& key = "orders") const { return directory_ / (key + ".state"); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_.path()), {}));
  }

  Watchdog watchdog_{150s, "sealed states"};
  scratch::ScratchDirectory directory_;
};

TEST_F(SealedStates, AreReadByTheNextProcessThatHasTheKey) {
  StateVersion version = 0;
  {
    SealedStateStore store(directory_.path(), test_key());
    store.save("orders", to_bytes("old"));
    version = store.save("orders", to_bytes("state"));
  }
  ChildProcess child([&] {
    const auto stored = SealedStateStore(directory_.path(), test_key()).load_with_version("orders");
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->bytes, to_bytes("state"));
    EXPECT_EQ(stored->version, version);
  });
  const auto status = child.wait_for(30s);
  EXPECT_TRUE(status && status->ok());
  struct stat info {};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(SealedStates, AreAgcmFilesOfTheContextAndTheBytesThatTheHeaderTells) {
  SealedStateStore store(directory_.path(), test_key(), {.context = "billing"});
  store.save("orders", {});
  store.save("orders", to_bytes("state"));
  const fs::path plain = directory_ / "plain";
  crypto::open_file(file(), plain, test_key(), {.context = "sluice-state/billing/orders"});
  EXPECT_EQ(scratch::read_file(plain), to_bytes({"\2\0\0\0\0\0\0\0state", 13}));
  store.remove("orders");
  crypto::open_file(directory_ / "versions", plain, test_key(), {.context = "sluice-state/billing/"});
  EXPECT_EQ(scratch::read_file(plain), to_bytes({"\2\0\0\0\0\0\0\0", 8}));
}

TEST_F(SealedStates, AreRefusedWithAnotherKeyOrContext) {
  SealedStateStore(directory_.path(), test_key(), {.context = "billing"}).save("orders", to_bytes("state"));
  SealedStateStore wrong_key(directory_.path(), test_key(8), {.context = "billing"});
  EXPECT_TRUE(throws(crypto::errc::unknown_key, file().native(), [&] { wrong_key.load("orders"); }));
  EXPECT_TRUE(throws(crypto::errc::unknown_key, file().native(), [&] { wrong_key.save("orders", {}); }));
  EXPECT_TRUE(throws(crypto::errc::unknown_key, file().native(), [&] { wrong_key.remove("orders"); }));
  SealedStateStore wrong_context(directory_.path(), test_key(), {.context = "bill"});
  EXPECT_TRUE(throws(crypto::errc::not_authentic, file().native(), [&] { wrong_context.load("orders"); }));
  EXPECT_EQ(SealedStateStore(directory_.path(), test_key(), {.context = "billing"}).load("orders"),
            to_bytes("state"));
}

TEST_F(SealedStates, OfAnOldKeyAreReadAndSealedWithTheNewOneWhenTheyAreSaved) {
  SealedStateStore(directory_.path(), test_key(1)).save("orders", to_bytes("old"));
  crypto::KeyRing old_keys;
  old_keys.add(test_key(1));
  SealedStateStore store(directory_.path(), test_key(2), {}, std::move(old_keys));
  EXPECT_EQ(store.load("orders"), to_bytes("old"));
  const StateVersion version = store.save_if_version("orders", to_bytes("new"), 1);
  const SealedStateStore after(directory_.path(), test_key(2));
  EXPECT_EQ(after.load_with_version("orders")->version, version);
}

TEST_F(SealedStates, AreRefusedUnderTheNameOfAnotherKey) {
  SealedStateStore store(directory_.path(), test_key());
  store.save("orders", to_bytes("orders"));
  store.save("todos", to_bytes("todos"));
  fs::rename(file("orders"), directory_ / "kept");
  fs::rename(file("todos"), file("orders"));
  fs::rename(directory_ / "kept", file("todos"));
  for (const std::string key : {"orders", "todos"}) {
    EXPECT_TRUE(throws(crypto::errc::not_authentic, file(key).native(), [&] { store.load(key); }));
    EXPECT_TRUE(throws(crypto::errc::not_authentic, file(key).native(), [&] { store.save(key, {}); }));
  }
  store.save("a", {});
  store.remove("a");
  fs::copy_file(directory_ / "versions", file("a"));
  EXPECT_TRUE(throws(crypto::errc::not_authentic, file("a").native(), [&] { store.load("a"); }));
}

TEST_F(SealedStates, AreRefusedAfterEveryFlippedBitAndCut) {
  SealedStateStore store(directory_.path(), test_key());
  store.save("orders", to_bytes("state"));
  const Bytes whole = scratch::read_file(file());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes damaged = whole;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    scratch::write_file(file(), damaged);
    EXPECT_THROW(store.load("orders"), error) << "bit " << bit;
    EXPECT_THROW(store.save("orders", {}), error) << "bit " << bit;
  }
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    scratch::write_file(file(), std::span(whole).first(bytes));
    EXPECT_THROW(store.load("orders"), error) << bytes << " bytes";
    EXPECT_THROW(store.remove("orders"), error) << bytes << " bytes";
  }
  Bytes longer = whole;
  longer.push_back({});
  scratch::write_file(file(), longer);
  EXPECT_TRUE(throws(crypto::errc::not_authentic, file().native(), [&] { store.load("orders"); }));
  scratch::write_file(file(), whole);
  EXPECT_EQ(store.load("orders"), to_bytes("state"));
  EXPECT_EQ(files(), 1U) << "a draft was left behind";
}

TEST_F(SealedStates, LargerThanTheStoreTakesAreRefusedBeforeTheyAreRead) {
  SealedStateStore(directory_.path(), test_key()).save("orders", scratch::pattern(1'000'000));
  const SealedStateStore small(directory_.path(), test_key(), {.max_bytes = 999'999});
  EXPECT_TRUE(throws(codec::errc::too_large, "at most 999999", [&] { small.load("orders"); }));
  const SealedStateStore enough(directory_.path(), test_key(), {.max_bytes = 1'000'000});
  EXPECT_EQ(enough.load("orders"), scratch::pattern(1'000'000));
}

TEST_F(SealedStates, AreNoLinksFifosSocketsOrDirectories) {
  SealedStateStore store(directory_.path(), test_key());
  store.save("real", to_bytes("state"));
  const std::map<std::string, std::function<void()>> others{
      {"link", [&] { fs::create_symlink(file("real"), file()); }},
      {"dangling link", [&] { fs::create_symlink(directory_ / "nowhere", file()); }},
      {"fifo", [&] { ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0); }},
      {"socket",
       [&] {
         const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
         sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
         file().native().copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
         ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
       }},
      {"directory", [&] { fs::create_directory(file()); }},
  };
  for (const auto& [what, put_there] : others) {
    put_there();
    EXPECT_TRUE(throws(errc::unsafe_place, "regular file", [&] { store.load("orders"); })) << what;
    EXPECT_TRUE(throws(errc::unsafe_place, "regular file", [&] { store.save("orders", {}); })) << what;
    EXPECT_TRUE(throws(errc::unsafe_place, "regular file", [&] { store.remove("orders"); })) << what;
    fs::remove(file());
  }
  EXPECT_EQ(store.load("real"), to_bytes("state"));
}

TEST_F(SealedStates, RefuseADirectoryThatOthersCanWriteTo) {
  const auto open = [&] { const SealedStateStore store(directory_.path(), test_key()); };
  for (const mode_t mode : {0770U, 0707U, 01777U}) {
    ::chmod(directory_.path().c_str(), mode);
    EXPECT_TRUE(throws(errc::unsafe_place, "written by others", open));
  }
  ::chmod(directory_.path().c_str(), 0700);
  open();
  EXPECT_TRUE(throws(std::errc::no_such_file_or_directory, "nowhere",
                     [&] { const SealedStateStore store(directory_ / "nowhere", test_key()); }));
}

TEST_F(SealedStates, LoseNoIncrementOfSeveralProcesses) {
  constexpr int kIncrements = 150;
  const auto count = [&] {
    SealedStateStore store(directory_.path(), test_key());
    for (int i = 0; i < kIncrements; ++i) {
      codec::update_with_retry<int>(store, "count", [](int& value) { ++value; },
                                    {.attempts = 100'000, .longest_wait = 10ms});
    }
  };
  ChildProcess first(count);
  ChildProcess second(count);
  for (ChildProcess* child : {&first, &second}) {
    const auto status = child->wait_for(120s);
    ASSERT_TRUE(status && status->ok());
  }
  const SealedStateStore store(directory_.path(), test_key());
  const auto stored = codec::load_with_version<int>(store, "count");
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->value, 2 * kIncrements);
  EXPECT_EQ(stored->version, static_cast<StateVersion>(2 * kIncrements));
  EXPECT_EQ(files(), 1U);
}

TEST_F(SealedStates, ThatTwoProcessesSaveAndRemoveNeverGetAVersionTwice) {
  constexpr int kRounds = 100;
  const SharedPage<std::array<std::atomic<std::uint32_t>, 2 * kRounds + 2>> uses;  // of each version
  const auto work = [&] {
    SealedStateStore store(directory_.path(), test_key());
    for (int i = 0; i < kRounds; ++i) {
      (*uses).at(store.save("orders", {})).fetch_add(1);
      store.remove("orders");
    }
  };
  ChildProcess first(work);
  ChildProcess second(work);
  for (ChildProcess* child : {&first, &second}) {
    const auto status = child->wait_for(120s);
    ASSERT_TRUE(status && status->ok());
  }
  for (std::size_t version = 0; version < (*uses).size(); ++version)
    EXPECT_LE((*uses).at(version), 1U) << version;
}

TEST_F(SealedStates, WaitABoundedTimeForAnotherWriterOfTheSameKeyOnly) {
  SealedStateStore store(directory_.path(), test_key());
  const base::AtomicFile other(file(), {.one_writer = true});
  store.save("todos", to_bytes("another key"));
  EXPECT_FALSE(store.load("orders")) << "reading waits for nobody";
  EXPECT_TRUE(throws(errc::busy, "orders.state", [&] { store.save("orders", {}); }));
}

TEST_F(SealedStates, AreTheOldOrTheNewOnesWheneverTheirWriterIsKilled) {
  constexpr int kKills = 150;
  constexpr auto kTime = 15s;  // fewer kills on a disk that is slow
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const SharedPage<std::atomic<StateVersion>> stored;   // what save() came back from
  const SharedPage<std::atomic<StateVersion>> removed;  // before remove() was called
  const auto state_of = [](StateVersion version) {
    return Bytes(version * 977 % 200'000, static_cast<std::byte>(version));
  };
  const auto start = std::chrono::steady_clock::now();
  int kills = 0;
  for (; kills < kKills && std::chrono::steady_clock::now() - start < kTime; ++kills) {
    ChildProcess writer([&] {
      SealedStateStore store(directory_.path(), test_key());
      for (unsigned i = 1;; ++i) {
        if (i % 4 == 0) {
          *removed = stored->load();
          store.remove("orders");
        }
        *stored = store.save("orders", state_of(*stored + 1));
      }
    });
    const StateVersion before = *stored;
    while (*stored == before && !writer.ended_within(0ms)) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    writer.signal(SIGKILL);
    ASSERT_TRUE(writer.wait_for(10s));
    const SealedStateStore store(directory_.path(), test_key());
    const StateVersion done = *stored;
    const auto state = store.load_with_version("orders");
    if (!state) {
      ASSERT_EQ(*removed, done) << "a state is gone that nobody removed";
      continue;
    }
    ASSERT_TRUE(state->version == done || state->version == done + 1) << state->version << " after " << done;
    ASSERT_EQ(state->bytes, state_of(state->version));
    *stored = state->version;
  }
  std::printf("%d kills, %llu saves\n", kills, static_cast<unsigned long long>(*stored));
  EXPECT_LE(files(), 2U) << "a draft was left behind";
}

/// The calls that can lose data fail from the `nth` on, until reset.
class FailingFiles {
 public:
  FailingFiles() = default;
  FailingFiles(const FailingFiles&) = delete;
  FailingFiles& operator=(const FailingFiles&) = delete;
  ~FailingFiles() { reset(); }

  void fail_from(int nth) {
    left_ = nth;
    base::FileOps& ops = base::file_ops();
    ops.write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
      return fails() ? -1 : ::write(fd, bytes, size);
    };
    ops.fsync = [](int fd) { return fails() ? -1 : ::fsync(fd); };
    ops.rename = [](int directory, const char* from, const char* to) {
      return fails() ? -1 : ::renameat(directory, from, directory, to);
    };
  }
  void reset() const { base::file_ops() = saved_; }

 private:
  static bool fails() {
    errno = EIO;
    return left_-- <= 0;
  }

  inline static int left_ = 0;
  base::FileOps saved_ = base::file_ops();
};

TEST_F(SealedStates, AreTheOldOrTheNewOnesWhenAWriteFsyncOrRenameFails) {
  FailingFiles files_fail;
  StateVersion last = 0;
  for (const bool removes : {false, true}) {
    int failures = 0;
    for (int nth = 0;; ++nth) {
      SealedStateStore store(directory_.path(), test_key());
      const StateVersion old = store.save("orders", to_bytes("old"));
      EXPECT_GT(old, last);
      last = old;
      bool failed = false;
      files_fail.fail_from(nth);
      try {
        if (removes) store.remove("orders");
        if (!removes) last = store.save_if_version("orders", to_bytes("new"), old);
      } catch (const error& failure) {
        failed = true;
        EXPECT_EQ(failure.code(), std::errc::io_error) << failure.what();
      }
      files_fail.reset();
      const auto now = store.load_with_version("orders");
      if (!failed) break;
      ++failures;
      if (!now) {
        EXPECT_TRUE(removes);
        continue;
      }
      EXPECT_EQ(now->bytes, to_bytes(now->version == old ? "old" : "new"));
      EXPECT_TRUE(!removes || now->version == old);
      last = now->version;
      EXPECT_LE(files(), 2U) << "a draft was left behind";
    }
    EXPECT_GE(failures, 4) << "header, chunk, fsync, rename, fsync of the directory";
  }
}

// In a mount namespace of its own, which ends with the process.
bool mount_tiny_disk(const fs::path& directory) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=64k,mode=0700") == 0;
}

TEST_F(SealedStates, StayWhenTheDiskIsFull) {
  constexpr int kNoMount = 77;
  ChildProcess child([&]() -> int {
    if (!mount_tiny_disk(directory_.path())) return kNoMount;
    SealedStateStore store(directory_.path(), test_key());
    const StateVersion version = store.save("orders", to_bytes("state"));
    EXPECT_TRUE(throws(std::errc::no_space_on_device, "orders.state",
                       [&] { store.save_if_version("orders", scratch::pattern(100'000), version); }));
    EXPECT_EQ(store.load_with_version("orders")->version, version);
    EXPECT_EQ(store.load("orders"), to_bytes("state"));
    EXPECT_EQ(files(), 1U) << "the draft is gone";
    EXPECT_GT(store.save("orders", to_bytes("next")), version);
    return 0;
  });
  const auto status = child.wait_for(30s);
  ASSERT_TRUE(status);
  if (status->code == kNoMount)
    GTEST_SKIP() << "mounting a tmpfs in a namespace of its own isn't allowed here";
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

TEST_F(SealedStates, StayWhenFilesMayGrowNoFurther) {
  ChildProcess child([&] {
    SealedStateStore store(directory_.path(), test_key());
    const StateVersion version = store.save("orders", to_bytes("state"));
    const rlimit limit{4096, 4096};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_TRUE(throws(std::errc::file_too_large, "orders.state",
                       [&] { store.save("orders", scratch::pattern(100'000)); }));
    EXPECT_EQ(store.load_with_version("orders")->version, version);
  });
  const auto status = child.wait_for(30s);
  EXPECT_TRUE(status && status->ok());
}

struct Todos {
  std::vector<std::string> items{};
  MSGPACK_DEFINE(items)
};

TEST_F(SealedStates, OfAValueMayBeASnapshot) {
  const fs::path path = directory_ / "todos.sealed";
  codec::seal_snapshot(path, test_key(), Todos{{"milk"}});
  codec::seal_snapshot(path, test_key(), Todos{{"milk", "bread"}}, "todos");
  EXPECT_EQ(codec::open_snapshot<Todos>(path, test_key(), "todos").items.size(), 2U);
  EXPECT_TRUE(throws(crypto::errc::not_authentic, path.native(),
                     [&] { codec::open_snapshot<Todos>(path, test_key()); }));
  EXPECT_TRUE(throws(crypto::errc::unknown_key, path.native(),
                     [&] { codec::open_snapshot<Todos>(path, test_key(8), "todos"); }));
  EXPECT_TRUE(throws(codec::errc::wrong_type, "",
                     [&] { codec::open_snapshot<std::string>(path, test_key(), "todos"); }));
  EXPECT_TRUE(throws(codec::errc::too_large, path.native(),
                     [&] { codec::open_snapshot<Todos>(path, test_key(), "todos", {.max_bytes = 5}); }));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  // No state can pass for a snapshot.
  SealedStateStore(directory_.path(), test_key()).save("todos", {});
  EXPECT_TRUE(throws(crypto::errc::not_authentic, "todos.state",
                     [&] { codec::open_snapshot<Todos>(file("todos"), test_key(), "todos"); }));
}

TEST_F(SealedStates, SnapshotIsRefusedWhereThereIsNoFile) {
  const fs::path path = directory_ / "todos.sealed";
  EXPECT_TRUE(throws(std::errc::no_such_file_or_directory, path.native(),
                     [&] { codec::open_snapshot<Todos>(path, test_key()); }));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(
      throws(errc::unsafe_place, path.native(), [&] { codec::open_snapshot<Todos>(path, test_key()); }));
  EXPECT_TRUE(
      throws(errc::unsafe_place, path.native(), [&] { codec::seal_snapshot(path, test_key(), Todos{}); }));
}

}  // namespace
}  // namespace sluice::test
