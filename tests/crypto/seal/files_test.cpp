// Sealed files: they appear whole or not at all, whatever fails or dies on the way.
#include "sluice/crypto/seal/files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <functional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "locked_by_another.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/inspect/inspect.hpp"
#include "sluice/crypto/key/key_file.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

class Files : public testing::Test {
 protected:
  void TearDown() override { base::file_ops() = original_; }

  // As where the file system has no files without a name.
  void have_only_named_files() {
    base::file_ops().open_unnamed = [](int, mode_t) {
      errno = EOPNOTSUPP;
      return -1;
    };
    saved_ = base::file_ops();
  }

  // The directory holds exactly these names.
  void expect_names(const std::set<std::string>& names) const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      found.insert(entry.path().filename().string());
    }
    EXPECT_EQ(found, names);
  }

  ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_ / "file";
  const base::FileOps original_ = base::file_ops();
  base::FileOps saved_ = original_;
};

TEST_F(Files, AreSealedInspectedOpenedAndRekeyed) {
  const auto key = test_key(1);
  const auto other = test_key(2);
  for (const unsigned workers : {1U, 3U}) {
    const auto plain = pattern(1'000'000);
    write_file(path_, plain);
    const TransferOptions transfer{.workers = workers};
    EXPECT_EQ(seal_file(path_, scratch_ / "sealed", key, {.chunk_bytes = 8192, .context = "c"}, transfer),
              plain.size());
    const auto info = inspect_file(scratch_ / "sealed");
    EXPECT_EQ(info.version, 2U);
    EXPECT_EQ(info.chunk_bytes, 8192U);
    EXPECT_EQ(info.key_id, key.id());
    EXPECT_EQ(info.plaintext_bytes, plain.size());
    EXPECT_EQ(rekey_file(scratch_ / "sealed", key, other, {.context = "c"}, transfer), plain.size());
    EXPECT_EQ(inspect_file(scratch_ / "sealed").chunk_bytes, 8192U);
    EXPECT_EQ(code_of([&] { open_file(scratch_ / "sealed", scratch_ / "o", key, {.context = "c"}); }),
              errc::unknown_key);
    EXPECT_EQ(open_file(scratch_ / "sealed", scratch_ / "opened", other, {.context = "c"}, transfer),
              plain.size());
    EXPECT_EQ(read_file(scratch_ / "opened"), plain);
    expect_names({"file", "sealed", "opened"});
  }
}

TEST_F(Files, KeepTheirModeAndOwnerWhenRekeyed) {
  write_file(path_, seal_bytes(to_bytes("x"), test_key()));
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::chown(path_.c_str(), 65534, 65533), 0);
  }
  rekey_file(path_, test_key(), test_key(1));
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
  EXPECT_EQ(status.st_uid, root ? 65534U : ::geteuid());
  EXPECT_EQ(status.st_gid, root ? 65533U : ::getegid());
}

TEST_F(Files, ThatCameMeanwhileAreNotReplacedByRekey) {
  const auto newer = seal_bytes(to_bytes("newer"), test_key());
  write_file(path_, seal_bytes(pattern(1'000'000), test_key()));
  write_file(scratch_ / "newer", newer);
  const TransferOptions transfer{.progress = [&](std::uint64_t) {
    if (std::filesystem::exists(scratch_ / "newer")) std::filesystem::rename(scratch_ / "newer", path_);
  }};
  EXPECT_EQ(code_of([&] { rekey_file(path_, test_key(), test_key(1), {}, transfer); }), sluice::errc::busy);
  EXPECT_EQ(read_file(path_), newer);
  expect_names({"file"});
}

TEST_F(Files, AreRekeyedThoughAReaderOfAnotherUserLocksThem) {
  write_file(path_, seal_bytes(to_bytes("x"), test_key()));
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0755), 0);
  const sluice::test::LockedByAnother lock(path_);
  ASSERT_TRUE(lock.held());
  EXPECT_EQ(rekey_file(path_, test_key(), test_key(1)), 1U);
  EXPECT_EQ(open_bytes(read_file(path_), test_key(1)), to_bytes("x"));
}

TEST_F(Files, AreReadFromRegularFilesOnlyAndNothingElseIsWaitedFor) {
  const auto refused = [&](const std::filesystem::path& path) {
    ::alarm(20);  // ends a wait that has no end
    EXPECT_EQ(code_of([&] { seal_file(path, scratch_ / "out", test_key()); }), sluice::errc::unsafe_place);
    EXPECT_EQ(code_of([&] { open_file(path, scratch_ / "out", test_key()); }), sluice::errc::unsafe_place);
    EXPECT_EQ(code_of([&] { rekey_file(path, test_key(), test_key(1)); }), sluice::errc::unsafe_place);
    EXPECT_EQ(code_of([&] { inspect_file(path); }), sluice::errc::unsafe_place);
    ::alarm(0);
  };
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  refused(path_);
  const auto place = scratch_ / "socket";
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_LT(place.native().size(), sizeof(address.sun_path));
  std::ranges::copy(place.native(), std::begin(address.sun_path));
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  refused(place);
  refused("/dev/zero");
  refused(scratch_.path());
  expect_names({"file", "socket"});
}

TEST_F(Files, AreRekeyedByOneAtATime) {
  write_file(path_, seal_bytes(pattern(1'000'000), test_key()));
  const TransferOptions transfer{.progress = [&](std::uint64_t) {
    EXPECT_EQ(code_of([&] { rekey_file(path_, test_key(), test_key(2)); }), sluice::errc::busy);
  }};
  rekey_file(path_, test_key(), test_key(1), {}, transfer);
  EXPECT_EQ(open_bytes(read_file(path_), test_key(1)), pattern(1'000'000));
}

TEST_F(Files, CanBeSealedInPlace) {
  write_file(path_, pattern(100'000));
  seal_file(path_, path_, test_key());
  EXPECT_EQ(open_bytes(read_file(path_), test_key()), pattern(100'000));
}

TEST_F(Files, CancelledOrDamagedLeaveTheOldOne) {
  write_file(scratch_ / "plain", pattern(3'000'000));
  write_file(path_, to_bytes("old"));
  std::stop_source stop;
  const TransferOptions transfer{.progress = [&](std::uint64_t) { stop.request_stop(); },
                                 .cancel = stop.get_token()};
  EXPECT_EQ(code_of([&] { seal_file(scratch_ / "plain", path_, test_key(), {}, transfer); }),
            errc::cancelled);
  EXPECT_EQ(read_file(path_), to_bytes("old"));

  seal_file(scratch_ / "plain", scratch_ / "sealed", test_key());
  auto sealed = read_file(scratch_ / "sealed");
  sealed.back() ^= std::byte{1};
  write_file(scratch_ / "sealed", sealed);
  EXPECT_EQ(code_of([&] { open_file(scratch_ / "sealed", path_, test_key()); }), errc::not_authentic);
  EXPECT_EQ(code_of([&] { rekey_file(scratch_ / "sealed", test_key(), test_key(1)); }), errc::not_authentic);
  EXPECT_EQ(read_file(path_), to_bytes("old"));
  EXPECT_EQ(read_file(scratch_ / "sealed"), sealed);
  expect_names({"plain", "sealed", "file"});
}

TEST_F(Files, RekeyRaisesVersion1ToVersion2OnRequestOnly) {
  // "from before" in chunks of 8 bytes, key 00 .. 1f, nonce 00 .. 0b; made with Python's cryptography.
  write_file(path_, from_hex("4147434d01000000000102030405060708090a0b08000000180000002170b976e587a77d7b"
                             "d255812e8050d03c14a97bfed47bb4130000002870b3aaf3938005a83557e6c374f247e28002"));
  EXPECT_EQ(inspect_file(path_).version, 1U);
  EXPECT_EQ(code_of([&] { rekey_file(path_, test_key(), test_key(1)); }), errc::legacy_refused);
  EXPECT_EQ(rekey_file(path_, test_key(), test_key(1), {.allow_legacy_v1 = true}), 11U);
  EXPECT_EQ(inspect_file(path_).version, 2U);
  EXPECT_EQ(open_bytes(read_file(path_), test_key(1)), to_bytes("from before"));
}

// ---- faults ----

TEST_F(Files, KeepTheOldOneWhenAWriteFsyncOrRenameFails) {
  write_file(scratch_ / "plain", pattern(300'000));
  write_file(path_, to_bytes("old"));
  const auto key = test_key();
  const auto expect_old = [&](std::errc expected) {
    EXPECT_EQ(code_of([&] { seal_file(scratch_ / "plain", path_, key); }), expected);
    base::file_ops() = saved_;
    EXPECT_EQ(read_file(path_), to_bytes("old"));
    expect_names({"plain", "file"});
  };
  for (const int failure : {ENOSPC, EIO}) {
    static int code = 0;
    code = failure;
    base::file_ops().write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
      if (size < 1000) return ::write(fd, bytes, size);
      errno = code;
      return -1;
    };
    expect_old(failure == EIO ? std::errc::io_error : std::errc::no_space_on_device);
    base::file_ops().fsync = [](int) {
      errno = code;
      return -1;
    };
    expect_old(failure == EIO ? std::errc::io_error : std::errc::no_space_on_device);
    base::file_ops().rename = [](int, const char*, const char*) {
      errno = code;
      return -1;
    };
    expect_old(failure == EIO ? std::errc::io_error : std::errc::no_space_on_device);
  }
}

TEST_F(Files, KeepTheOldOneWhenWhatRekeyWroteReadsBackChanged) {
  write_file(scratch_ / "plain", pattern(300'000));
  seal_file(scratch_ / "plain", path_, test_key());
  const auto old = read_file(path_);
  // A disk that changes a byte, and one that holds another whole stream of the same key.
  static Bytes other;
  static std::size_t written;
  other = seal_bytes(pattern(300'000, 7), test_key(1));
  const auto flip = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
    const auto* from = static_cast<const std::byte*>(bytes);
    Bytes changed(from, from + size);
    if (size > 1000) changed[size / 2] ^= std::byte{1};
    return ::write(fd, changed.data(), size);
  };
  const auto replace = [](int fd, const void* /*bytes*/, std::size_t size) -> ssize_t {
    const auto part = std::span(other).subspan(std::exchange(written, written + size), size);
    return ::write(fd, part.data(), size);
  };
  for (auto* write : {+flip, +replace}) {
    written = 0;
    base::file_ops().write = write;
    EXPECT_EQ(code_of([&] { rekey_file(path_, test_key(), test_key(1)); }), errc::not_authentic);
    base::file_ops() = saved_;
    EXPECT_EQ(read_file(path_), old);
    expect_names({"plain", "file"});
  }
}

TEST_F(Files, ShortWritesAndInterruptionsAreGoneOnWith) {
  static int calls;
  calls = 0;
  base::file_ops().write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
    if (++calls % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    return ::write(fd, bytes, size / 2 + 1);
  };
  write_file(scratch_ / "plain", pattern(300'000));
  seal_file(scratch_ / "plain", path_, test_key());
  EXPECT_EQ(open_bytes(read_file(path_), test_key()), pattern(300'000));
}

TEST_F(Files, KeepTheOldOneOnAFullDisk) {
  const auto small = scratch_ / "small";
  std::filesystem::create_directory(small);
  if (::mount("none", small.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=256k") != 0) {
    GTEST_SKIP() << "can't mount a small tmpfs here";
  }
  write_file(scratch_ / "plain", pattern(1'000'000));
  write_file(small / "file", to_bytes("old"));
  EXPECT_EQ(code_of([&] { seal_file(scratch_ / "plain", small / "file", test_key()); }),
            std::errc::no_space_on_device);
  EXPECT_EQ(read_file(small / "file"), to_bytes("old"));
  EXPECT_FALSE(std::filesystem::exists(small / ".file.sluice-new"));
  EXPECT_EQ(::umount(small.c_str()), 0);
}

// ---- killed writers ----

// Dies at its n-th write, fsync or rename, halfway through a write. Runs in a child process.
[[noreturn]] void work_and_die(int n, const std::function<void()>& work) {
  static int calls = 0;
  calls = n;
  base::file_ops().write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
    if (--calls == 0) {
      (void)!::write(fd, bytes, size / 2);
      ::kill(::getpid(), SIGKILL);
    }
    return ::write(fd, bytes, size);
  };
  base::file_ops().fsync = [](int fd) {
    if (--calls == 0) ::kill(::getpid(), SIGKILL);
    return ::fsync(fd);
  };
  base::file_ops().rename = [](int directory, const char* from, const char* to) {
    if (--calls == 0) ::kill(::getpid(), SIGKILL);
    return ::renameat(directory, from, directory, to);
  };
  work();
  std::_Exit(0);
}

class KilledWriters : public Files, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) have_only_named_files();
  }
};

TEST_P(KilledWriters, LeaveTheOldOrTheWholeNewFile) {
  const auto key = test_key();
  const auto other = test_key(1);
  write_file(scratch_ / "plain", pattern(700'000));
  seal_file(scratch_ / "plain", scratch_ / "start", key);
  const auto old = read_file(scratch_ / "start");
  const std::vector<std::function<void()>> works{
      [&] { seal_file(scratch_ / "plain", path_, other); },
      [&] { rekey_file(path_, key, other); },
  };
  for (const auto& work : works) {
    for (int n = 1;; ++n) {
      ASSERT_LT(n, 100);
      write_file(path_, old);
      const pid_t child = ::fork();
      if (child == 0) work_and_die(n, work);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      const auto now = read_file(path_);
      if (now != old) {
        ASSERT_EQ(open_bytes(now, other), pattern(700'000)) << "killed at call " << n;
      }
      if (WIFEXITED(status)) {
        ASSERT_EQ(WEXITSTATUS(status), 0);
        ASSERT_NE(now, old);
        break;
      }
    }
  }
  seal_file(scratch_ / "plain", path_, key);  // and the next writer removes what they left
  expect_names({"plain", "start", "file"});
}

INSTANTIATE_TEST_SUITE_P(AtEveryCall, KilledWriters, testing::Bool(), [](const auto& tested) {
  return std::string(tested.param ? "OfAnUnnamedFile" : "OfANamedFile");
});

TEST_F(Files, OfAWriterKilledAtARandomMomentAreTheOldOrTheWholeNewOne) {
  const auto key = test_key();
  const auto other = test_key(1);
  write_file(scratch_ / "plain", pattern(2'000'000));
  seal_file(scratch_ / "plain", path_, key);
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 40; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) {
        rekey_file(path_, key, other);
        rekey_file(path_, other, key);
      }
    }
    ::usleep(static_cast<useconds_t>(random() % 20000));  // not a synchronisation: any moment will do
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    KeyRing ring;
    ring.add(test_key());
    ring.add(test_key(1));
    ASSERT_EQ(open_bytes(read_file(path_), ring), pattern(2'000'000));
    if (inspect_file(path_).key_id == other.id()) rekey_file(path_, other, key);
  }
  seal_file(scratch_ / "plain", path_, key);  // removes what the last one left
  expect_names({"plain", "file"});
}

}  // namespace
}  // namespace sluice::crypto::test
