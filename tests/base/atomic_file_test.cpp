// A file that appears whole or not at all, whatever fails on the way.
#include "sluice/base/atomic_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "locked_by_another.hpp"
#include "scratch_files.hpp"
#include "sluice/base/detail/file_io.hpp"

namespace sluice::base {
namespace {

using namespace sluice::test::scratch;

class AtomicFiles : public testing::Test {
 protected:
  void TearDown() override { file_ops() = original_; }

  // As where the file system has no files without a name.
  void have_only_named_files() {
    file_ops().open_unnamed = [](int, mode_t) {
      errno = EOPNOTSUPP;
      return -1;
    };
    saved_ = file_ops();
  }

  // The directory holds exactly these names.
  void expect_names(const std::set<std::string>& names) const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      found.insert(entry.path().filename().string());
    }
    EXPECT_EQ(found, names);
  }

  mode_t mode_of(const std::filesystem::path& path) const {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_mode & 07777U;
  }

  ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_ / "file";
  const FileOps original_ = file_ops();
  FileOps saved_ = original_;
};

TEST_F(AtomicFiles, AppearOnCommitWithTheirModeWhateverTheUmask) {
  const auto mask = ::umask(077);
  AtomicFile file(path_, {.mode = 0644});
  file.write(to_bytes("new"));
  EXPECT_FALSE(std::filesystem::exists(path_));
  file.commit();
  ::umask(mask);
  EXPECT_EQ(read_file(path_), to_bytes("new"));
  EXPECT_EQ(mode_of(path_), 0644U);
  expect_names({"file"});
  EXPECT_EQ(code_of([&] { file.commit(); }), errc::misuse);
}

TEST_F(AtomicFiles, LeaveNothingWithoutCommit) {
  write_file(path_, to_bytes("old"));
  {
    AtomicFile file(path_);
    file.write(to_bytes("new"));
  }
  EXPECT_EQ(read_file(path_), to_bytes("old"));
  expect_names({"file"});
}

TEST_F(AtomicFiles, OfTwoWritersAreTheLastOnesThatCommitted) {
  AtomicFile first(path_);
  AtomicFile second(path_);
  second.write(to_bytes("second"));
  first.write(to_bytes("first"));
  second.commit();
  EXPECT_EQ(read_file(path_), to_bytes("second"));
  first.commit();
  EXPECT_EQ(read_file(path_), to_bytes("first"));
  expect_names({"file"});
}

TEST_F(AtomicFiles, AreReplacedByManyWritersAtOnceAndStayWhole) {
  write_file(path_, Bytes(1000));
  std::vector<std::jthread> writers;
  for (int writer = 1; writer <= 4; ++writer) {
    writers.emplace_back([&, byte = static_cast<std::byte>(writer)] {
      for (int i = 0; i < 200; ++i) {
        AtomicFile file(path_);
        file.write(Bytes(1000, byte));
        file.commit();
      }
    });
  }
  for (int i = 0; i < 1000; ++i) {
    const auto bytes = read_file(path_);
    ASSERT_EQ(bytes, Bytes(1000, bytes.at(0)));
  }
  writers.clear();
  expect_names({"file"});
}

TEST_F(AtomicFiles, HaveNoNameBeforeTheyAreCommitted) {
  AtomicFile file(path_);
  file.write(to_bytes("secret"));
  expect_names({});
}

TEST_F(AtomicFiles, MayHaveNamesAsLongAsTheSystemAllows) {
  const auto path = scratch_ / std::string(NAME_MAX, 'n');
  AtomicFile file(path);
  file.write(to_bytes("long"));
  file.commit();
  EXPECT_EQ(read_file(path), to_bytes("long"));
}

TEST_F(AtomicFiles, ThatAreNewNeverReplaceOneThatCameMeanwhile) {
  AtomicFile file(path_, {.replace = false});
  write_file(path_, to_bytes("other"));
  EXPECT_EQ(code_of([&] { file.commit(); }), std::errc::file_exists);
  EXPECT_EQ(read_file(path_), to_bytes("other"));
  expect_names({"file"});
}

class NamedFiles : public AtomicFiles {
 protected:
  void SetUp() override { have_only_named_files(); }
};

TEST_F(NamedFiles, HaveOneWriterAtATime) {
  AtomicFile file(path_);
  expect_names({".file.sluice-new"});
  EXPECT_EQ(code_of([&] { AtomicFile second(path_); }), errc::busy);
  file.write(to_bytes("new"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("new"));
  AtomicFile third(path_);
}

TEST_F(NamedFiles, LeaveNothingWithoutCommit) {
  write_file(path_, to_bytes("old"));
  { AtomicFile(path_).write(to_bytes("new")); }
  EXPECT_EQ(read_file(path_), to_bytes("old"));
  expect_names({"file"});
}

TEST_F(NamedFiles, LeftByAKilledWriterAreReplaced) {
  write_file(scratch_ / ".file.sluice-new", to_bytes("half"));
  ASSERT_EQ(::chmod((scratch_ / ".file.sluice-new").c_str(), 0400), 0);
  AtomicFile file(path_);
  file.write(to_bytes("whole"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("whole"));
  expect_names({"file"});
}

TEST_F(NamedFiles, ThatAreNewNeverReplaceOneThatCameMeanwhile) {
  {
    AtomicFile file(path_, {.replace = false});
    write_file(path_, to_bytes("other"));
    EXPECT_EQ(code_of([&] { file.commit(); }), std::errc::file_exists);
    EXPECT_EQ(read_file(path_), to_bytes("other"));
  }
  expect_names({"file"});
  std::filesystem::remove(path_);
  AtomicFile file(path_, {.replace = false});
  file.write(to_bytes("new"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("new"));
  expect_names({"file"});
}

TEST_F(AtomicFiles, LeftByAKilledWriterAreReplaced) {
  write_file(scratch_ / ".file.sluice-new", to_bytes("half"));
  AtomicFile file(path_);
  file.write(to_bytes("whole"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("whole"));
  expect_names({"file"});
}

TEST_F(AtomicFiles, OfOthersAtTheTemporaryNameAreRefused) {
  std::filesystem::create_symlink("/etc/passwd", scratch_ / ".file.sluice-new");
  EXPECT_EQ(code_of([&] { AtomicFile file(path_); }), errc::unsafe_place);
  std::filesystem::remove(scratch_ / ".file.sluice-new");
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  write_file(scratch_ / ".file.sluice-new", {});
  ASSERT_EQ(::chown((scratch_ / ".file.sluice-new").c_str(), 65534, 65534), 0);
  EXPECT_EQ(code_of([&] { AtomicFile file(path_); }), errc::unsafe_place);
}

// A hard link to a file of ours that others can read; a sticky directory allows it.
TEST_F(AtomicFiles, EndTheirWaitForALockThatAStrangerKeeps) {
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 01777), 0);
  write_file(scratch_ / "other", to_bytes("ours"));
  ASSERT_EQ(::chmod((scratch_ / "other").c_str(), 0644), 0);
  std::filesystem::create_hard_link(scratch_ / "other", scratch_ / ".file.sluice-new");
  const sluice::test::LockedByAnother lock(scratch_ / ".file.sluice-new");
  ASSERT_TRUE(lock.held());
  EXPECT_EQ(code_of([&] { AtomicFile file(path_, {.wait_for_others = true}); }), errc::busy);
  EXPECT_EQ(read_file(scratch_ / "other"), to_bytes("ours"));
}

TEST_F(AtomicFiles, HaveOneWriterOnEveryFileSystemIfTheyAreAskedTo) {
  AtomicFile first(path_, {.one_writer = true});
  first.write(to_bytes("first"));
  EXPECT_EQ(code_of([&] { AtomicFile second(path_, {.one_writer = true}); }), errc::busy);
  first.commit();
  EXPECT_EQ(read_file(path_), to_bytes("first"));
  expect_names({"file"});
}

TEST_F(AtomicFiles, RefuseEveryUseAfterCommitOrMove) {
  const auto expect_misuse = [](AtomicFile& file) {
    EXPECT_EQ(code_of([&] { file.write(to_bytes("more")); }), errc::misuse);
    EXPECT_EQ(code_of([&] { file.fd(); }), errc::misuse);
    EXPECT_EQ(code_of([&] { file.expect(1); }), errc::misuse);
    EXPECT_EQ(code_of([&] { (void)file.open_for_reading(); }), errc::misuse);
    EXPECT_EQ(code_of([&] { file.commit(); }), errc::misuse);
  };
  AtomicFile from(path_);
  AtomicFile file(std::move(from));
  expect_misuse(from);  // NOLINT(bugprone-use-after-move)
  file.commit();
  expect_misuse(file);
}

TEST_F(AtomicFiles, NeverReplaceALinkADirectoryOrADevice) {
  std::filesystem::create_symlink("elsewhere", path_);
  EXPECT_EQ(code_of([&] { AtomicFile file(path_); }), errc::unsafe_place);
  std::filesystem::create_directory(scratch_ / "directory");
  EXPECT_EQ(code_of([&] { AtomicFile file(scratch_ / "directory"); }), errc::unsafe_place);
  EXPECT_EQ(code_of([&] { AtomicFile file("/dev/null"); }), errc::unsafe_place);
  EXPECT_EQ(code_of([&] { AtomicFile file(scratch_ / "missing" / "file"); }),
            std::errc::no_such_file_or_directory);
}

TEST_F(AtomicFiles, SayWhenOnlyTheDirectoryCouldNotBeSynced) {
  write_file(path_, to_bytes("old"));
  AtomicFile file(path_);
  file.write(to_bytes("new"));
  static int syncs;
  syncs = 0;
  file_ops().fsync = [](int fd) {
    if (++syncs == 1) return ::fsync(fd);
    errno = EIO;
    return -1;
  };
  try {
    file.commit();
    FAIL();
  } catch (const error& failure) {
    EXPECT_NE(std::string(failure.what()).find("the new file stands"), std::string::npos);
  }
  EXPECT_EQ(read_file(path_), to_bytes("new"));
  expect_names({"file"});
}

TEST_F(AtomicFiles, StandWhereTheFileSystemSyncsNoDirectories) {
  static int syncs;
  syncs = 0;
  file_ops().fsync = [](int fd) {
    if (++syncs == 1) return ::fsync(fd);
    errno = EINVAL;
    return -1;
  };
  AtomicFile file(path_);
  file.write(to_bytes("new"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("new"));
}

// A user's own umask, back when the test is over.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

class EitherKind : public AtomicFiles, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) have_only_named_files();
  }
};

TEST_P(EitherKind, KeepTheModeOfWhatTheyReplaceAndElseObeyTheUmask) {
  const Umask mask(027);
  AtomicFile fresh(path_, {.mode = std::nullopt});
  fresh.commit();
  EXPECT_EQ(mode_of(path_), 0640U);
  ASSERT_EQ(::chmod(path_.c_str(), 0606), 0);
  AtomicFile next(path_, {.mode = std::nullopt});
  next.commit();
  EXPECT_EQ(mode_of(path_), 0606U);
}

TEST_P(EitherKind, AreMadeInTheDirectoryThatIsOpen) {
  const Descriptor directory(::open(scratch_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  AtomicFile file("file", {.directory = directory.get()});
  file.write(to_bytes("here"));
  file.commit();
  EXPECT_EQ(read_file(path_), to_bytes("here"));
  expect_names({"file"});
}

TEST_P(EitherKind, AreReadThroughADescriptorThatOutlivesThem) {
  Descriptor reading;
  {
    AtomicFile file(path_);
    reading = file.open_for_reading();
    file.write(to_bytes("mapped"));
    file.commit();
  }
  Bytes bytes(6);
  EXPECT_EQ(read_all_at(reading.get(), bytes, 0, "the file"), 6U);
  EXPECT_EQ(bytes, to_bytes("mapped"));
  EXPECT_EQ(::write(reading.get(), "x", 1), -1);
  EXPECT_TRUE(is_named(reading.get(), AT_FDCWD, path_.string()));
  AtomicFile(path_).commit();
  EXPECT_FALSE(is_named(reading.get(), AT_FDCWD, path_.string())) << "another file has the name now";
}

TEST_P(EitherKind, WaitForTheDiskOnlyIfTheyAreToBeDurable) {
  static int syncs;
  syncs = 0;
  file_ops().fsync = [](int fd) {
    ++syncs;
    return ::fsync(fd);
  };
  AtomicFile(path_, {.durable = false}).commit();
  EXPECT_EQ(syncs, 0);
  AtomicFile(path_).commit();
  EXPECT_EQ(syncs, 2) << "the file and its directory";
}

TEST_P(EitherKind, OfDeadWritersAreRemovedAndThoseOfLivingOnesLeft) {
  const Descriptor directory(::open(scratch_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  write_file(scratch_ / ".dead.txt.sluice-new", to_bytes("half"));
  write_file(scratch_ / ".other.sluice-new", to_bytes("another kind"));
  write_file(scratch_ / ".living.txt.sluice-new", to_bytes("half"));
  const Descriptor writer(::open((scratch_ / ".living.txt.sluice-new").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(lock_file(writer.get(), "the living one"));
  AtomicFile::remove_leftovers(directory.get(), ".txt");
  expect_names({".other.sluice-new", ".living.txt.sluice-new"});
}

INSTANTIATE_TEST_SUITE_P(AtomicFiles, EitherKind, testing::Bool(), [](const auto& tested) {
  return std::string(tested.param ? "WithoutAName" : "WithATemporaryName");
});

TEST_F(NamedFiles, WaitForEachOtherIfTheyAreAskedTo) {
  std::vector<std::jthread> writers;
  for (int writer = 1; writer <= 4; ++writer) {
    writers.emplace_back([&, byte = static_cast<std::byte>(writer)] {
      for (int i = 0; i < 50; ++i) {
        AtomicFile file(path_, {.wait_for_others = true});
        file.write(Bytes(1000, byte));
        file.commit();
      }
    });
  }
  writers.clear();
  const auto bytes = read_file(path_);
  EXPECT_EQ(bytes, Bytes(1000, bytes.at(0)));
  expect_names({"file"});
}

}  // namespace
}  // namespace sluice::base
