// Writing and reading to the last byte, through short transfers, interruptions and full pipes.
#include "sluice/base/detail/file_io.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <thread>

#include "child_process.hpp"
#include "scratch_files.hpp"

namespace sluice::base {
namespace {

using namespace sluice::test::scratch;
using sluice::test::ChildProcess;

class FileIo : public testing::Test {
 protected:
  void TearDown() override { file_ops() = original_; }

  ScratchDirectory scratch_;
  Descriptor file_{::open((scratch_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  const FileOps original_ = file_ops();
};

TEST_F(FileIo, GoesOnAfterShortWritesAndInterruptions) {
  static int calls;
  calls = 0;
  file_ops().write = [](int fd, const void* bytes, std::size_t size) -> ssize_t {
    if (++calls % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    return ::write(fd, bytes, size / 2 + 1);
  };
  const auto bytes = pattern(10'000);
  write_all(file_.get(), bytes, "the file");
  EXPECT_GT(calls, 3);
  EXPECT_EQ(read_file(scratch_ / "file"), bytes);
}

TEST_F(FileIo, WaitsUntilANonBlockingPipeHasRoom) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  ASSERT_EQ(::fcntl(writing.get(), F_SETFL, O_NONBLOCK), 0);
  const auto bytes = pattern(1'000'000);  // more than a pipe holds
  Bytes got(bytes.size() + 1);
  std::size_t count = 0;
  std::jthread reader([&] { count = read_all(reading.get(), got, "the pipe"); });
  write_all(writing.get(), bytes, "the pipe");
  writing.reset();
  reader.join();
  got.resize(count);
  EXPECT_EQ(got, bytes);
}

TEST_F(FileIo, FailsWithoutASignalWhenNobodyReadsAPipe) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Descriptor writing(ends[1]);
  Descriptor(ends[0]).reset();
  const auto write = [&] { return code_of([&] { write_all(writing.get(), pattern(1), "the pipe"); }); };
  EXPECT_EQ(write(), std::errc::broken_pipe);
  // A signal that the caller holds back stays as it is: absent, or there.
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  const timespec at_once{};
  EXPECT_EQ(write(), std::errc::broken_pipe);
  EXPECT_EQ(::sigtimedwait(&pipe, nullptr, &at_once), -1);
  ::raise(SIGPIPE);
  EXPECT_EQ(write(), std::errc::broken_pipe);
  EXPECT_EQ(::sigtimedwait(&pipe, nullptr, &at_once), SIGPIPE);
  ::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
}

TEST_F(FileIo, FailsWithoutASignalWhenTheReaderOfAPipeGoesInTheMiddleOfAWrite) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Descriptor writing(ends[1]);
  std::thread reader([reading = Descriptor(ends[0])] {
    std::vector<std::byte> some(100'000);  // so that the write is on its way
    for (std::size_t got = 0; got < some.size();) {
      const ssize_t more = ::read(reading.get(), some.data(), some.size() - got);
      if (more <= 0) return;
      got += static_cast<std::size_t>(more);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the pipe is full, and the write waits
  });
  EXPECT_EQ(code_of([&] { write_all(writing.get(), pattern(1 << 20), "the pipe"); }), std::errc::broken_pipe);
  reader.join();
}

TEST_F(FileIo, ReadsAndWritesAtAPlaceUpToTheEnd) {
  const auto bytes = pattern(1000);
  write_all_at(file_.get(), bytes, 5000, "the file");
  Bytes room(2000);
  EXPECT_EQ(read_all_at(file_.get(), room, 5500, "the file"), 500U);
  EXPECT_TRUE(std::equal(room.begin(), room.begin() + 500, bytes.begin() + 500));
  EXPECT_EQ(read_all_at(file_.get(), room, 6000, "the file"), 0U);
}

TEST_F(FileIo, NamesWhatItFailedOn) {
  const Descriptor reading(::open((scratch_ / "file").c_str(), O_RDONLY | O_CLOEXEC));
  try {
    write_all(reading.get(), to_bytes("x"), "the ledger");
    FAIL();
  } catch (const error& failure) {
    EXPECT_EQ(failure.code(), std::errc::bad_file_descriptor);
    EXPECT_NE(std::string(failure.what()).find("write the ledger"), std::string::npos);
  }
}

TEST_F(FileIo, ForgivesOnlyWhatCannotBeSynced) {
  static int code;
  file_ops().fsync = [](int) {
    errno = code;
    return -1;
  };
  for (const int failure : {EINVAL, EROFS, EIO}) {
    code = failure;
    EXPECT_EQ(code_of([&] { sync_file(file_.get(), "the file"); }).value(), failure);
  }
  EXPECT_EQ(code_of([&] { sync_if_possible(file_.get(), "the file"); }), std::errc::io_error);
  code = EINVAL;
  sync_if_possible(file_.get(), "the file");
  code = EROFS;
  sync_if_possible(file_.get(), "the file");
}

TEST_F(FileIo, SaysThatAFileMayGrowNoFurtherAndIsNotEndedByASignal) {
  ChildProcess child([&] {
    const rlimit limit{100'000, RLIM_INFINITY};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    write_all(file_.get(), pattern(99'999), "the file");
    EXPECT_EQ(code_of([&] { write_all(file_.get(), pattern(2), "the file"); }), std::errc::file_too_large);
    write_all(file_.get(), pattern(1), "the file");
    EXPECT_EQ(code_of([&] { write_all(file_.get(), pattern(1), "the file"); }), std::errc::file_too_large);
    write_all_at(file_.get(), pattern(10'000), 90'000, "the file");
    EXPECT_EQ(code_of([&] { write_all_at(file_.get(), pattern(1), 100'000, "it"); }),
              std::errc::file_too_large);
    const Descriptor appending(::open((scratch_ / "file").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    EXPECT_EQ(code_of([&] { write_all(appending.get(), pattern(1), "it"); }), std::errc::file_too_large);
    const Descriptor device(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    write_all(device.get(), pattern(200'000), "a device");
  });
  const auto status = child.wait_for(std::chrono::seconds(30));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  EXPECT_EQ(std::filesystem::file_size(scratch_ / "file"), 100'000U);
}

TEST_F(FileIo, LocksAFileForOneDescriptorAtATime) {
  Descriptor other(::open((scratch_ / "file").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(lock_file(file_.get(), "the file"));
  EXPECT_FALSE(lock_file(other.get(), "the file"));
  file_.reset();
  EXPECT_TRUE(lock_file(other.get(), "the file"));
}

}  // namespace
}  // namespace sluice::base
