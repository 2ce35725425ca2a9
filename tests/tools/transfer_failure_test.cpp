// sluice send and sluice recv where something goes wrong: a non-zero exit, one line, nothing half done.
#include <sys/resource.h>
#include <sys/stat.h>

#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

class TransferFailureTest : public TransferTest {
 protected:
  /// An output that exists already, alone in its directory.
  std::filesystem::path old_output() const {
    auto path = output_directory() / "result";
    write_file(path, "old");
    return path;
  }
  static void expect_untouched(const std::filesystem::path& output) {
    EXPECT_EQ(read_file(output), "old");
    EXPECT_EQ(files_in(output.parent_path()), 1U) << "something was left behind";
  }
};

TEST_F(TransferFailureTest, AKilledSenderFailsTheReceiverAndLeavesTheOldOutput) {
  const auto output = old_output();
  Pipe in;
  Command receiver = recv({"channel", "--output", output});
  Command sender = send({"channel"}, in.read);
  write_to(in.write, noise(1'000'000));
  ASSERT_TRUE(comes_true([&] { return is_drained(in); }));
  sender.signal(SIGKILL);
  EXPECT_TRUE(receiver.fails(1, "the sender died"));
  expect_untouched(output);
}

TEST_F(TransferFailureTest, AKilledReceiverFailsASenderThatWaitsForItsInput) {
  Pipe in;
  Pipe out;
  Command sender = send({"channel"}, in.read);
  Command receiver = recv({"channel"}, out.write);
  write_to(in.write, "something");
  ASSERT_EQ(read_from(out.read, 9), "something");
  receiver.signal(SIGKILL);
  EXPECT_TRUE(sender.fails(1, "the receiver died"));
}

TEST_F(TransferFailureTest, AKilledReceiverFailsASenderThatWaitsForRoom) {
  Pipe out;
  Command sender = send({"channel", "/dev/zero"});
  Command receiver = recv({"channel"}, out.write);
  ASSERT_EQ(read_from(out.read, 1), std::string(1, '\0'));
  // The pipe is full, then the ring, and both are asleep.
  ASSERT_TRUE(comes_true([&] { return is_asleep(receiver.pid()) && is_asleep(sender.pid()); }));
  receiver.signal(SIGKILL);
  EXPECT_TRUE(sender.fails(1, "the receiver died"));
}

TEST_F(TransferFailureTest, AKilledReceiverLeavesNothing) {
  const auto output = old_output();
  Pipe in;
  Command receiver = recv({"channel", "--output", output});
  Command sender = send({"channel"}, in.read);
  write_to(in.write, noise(100'000));
  ASSERT_TRUE(comes_true([&] { return is_drained(in); }));
  receiver.signal(SIGKILL);
  EXPECT_TRUE(sender.fails(1, "the receiver died"));
  expect_untouched(output);
}

TEST_F(TransferFailureTest, AnInterruptedReceiverEndsByTheSignalAndLeavesNothing) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    SCOPED_TRACE(number);
    const auto output = old_output();
    Pipe in;
    Command receiver = recv({"channel", "--output", output});
    Command sender = send({"channel"}, in.read);
    write_to(in.write, noise(100'000));
    ASSERT_TRUE(comes_true([&] { return is_drained(in); }));
    receiver.signal(number);
    EXPECT_EQ(receiver.wait().signal, number);
    EXPECT_TRUE(sender.fails(1, "the receiver died"));
    expect_untouched(output);
  }
}

TEST_F(TransferFailureTest, AnInterruptedSenderFailsTheReceiver) {
  Pipe in;
  Pipe out;
  Command sender = send({"channel"}, in.read);
  Command receiver = recv({"channel"}, out.write);
  write_to(in.write, "x");
  ASSERT_EQ(read_from(out.read, 1), "x");
  sender.signal(SIGINT);
  EXPECT_EQ(sender.wait().signal, SIGINT);
  EXPECT_TRUE(receiver.fails(1, "the sender died"));
}

TEST_F(TransferFailureTest, AReceiverInterruptedWhileItWaitsRemovesItsSocket) {
  const auto output = old_output();
  Command receiver = recv({"channel", "--output", output});
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()) && is_asleep(receiver.pid()); }));
  receiver.signal(SIGINT);
  EXPECT_EQ(receiver.wait().signal, SIGINT);
  EXPECT_FALSE(std::filesystem::exists(socket()));
  expect_untouched(output);
}

TEST_F(TransferFailureTest, AFullDeviceFailsBothSidesAndStaysADevice) {
  Command receiver = recv({"channel", "--output", "/dev/full"});
  Command sender = send({"channel", "/dev/zero"});
  EXPECT_TRUE(receiver.fails(1, "/dev/full: No space left on device"));
  EXPECT_TRUE(sender.fails(1, "the receiver failed: write /dev/full: No space left on device"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST_F(TransferFailureTest, AFullStandardOutputFailsBothSides) {
  const Descriptor full = open_file("/dev/full", O_WRONLY);
  Command receiver = recv({"channel"}, full);
  Command sender = send({"channel", "/dev/zero"});
  EXPECT_TRUE(receiver.fails(1, "standard output: No space left on device"));
  EXPECT_TRUE(sender.fails(1, "standard output: No space left on device"));
}

TEST_F(TransferFailureTest, AFileThatMayGrowNoFurtherFailsBothSidesAndLeavesTheOldOutput) {
  const auto output = old_output();
  Command receiver(directory_, {"sluice", "recv", "channel", "--output", output}, {}, {}, [] {
    const rlimit small{1U << 20U, RLIM_INFINITY};  // more than a region, less than the input
    ::setrlimit(RLIMIT_FSIZE, &small);
  });
  Command sender = send({"channel", "/dev/zero"});
  EXPECT_TRUE(receiver.fails(1, "File too large"));
  EXPECT_TRUE(sender.fails(1, "File too large"));
  expect_untouched(output);
}

TEST_F(TransferFailureTest, ALimitBelowARegionsSizeIsAnErrorNotASignal) {
  for (const std::string verb : {"send", "recv"}) {
    SCOPED_TRACE(verb);
    const auto limited = [&](std::vector<std::string> words) {
      words.insert(words.begin(), "sluice");
      return Command(directory_, std::move(words), {}, {}, [] {
        const rlimit small{16U << 10U, RLIM_INFINITY};
        ::setrlimit(RLIMIT_FSIZE, &small);
      });
    };
    write_file(file("in"), "content");
    Command receiver =
        verb == "recv" ? limited({"recv", "channel", "-t", "3"}) : recv({"channel", "-t", "3"});
    Command sender = verb == "send" ? limited({"send", "channel", file("in"), "-t", "3"})
                                    : send({"channel", file("in"), "-t", "3"});
    Command& without_room = verb == "send" ? sender : receiver;
    EXPECT_TRUE(without_room.fails(1, "File too large"));
    EXPECT_EQ((verb == "send" ? receiver : sender).wait().code, 1);
  }
}

TEST_F(TransferFailureTest, AReaderThatGoesAwayFailsBothSides) {
  Pipe out;
  Command receiver = recv({"channel"}, out.write);
  Command sender = send({"channel", "/dev/zero"});
  ASSERT_EQ(read_from(out.read, 1), std::string(1, '\0'));
  out.read.reset();
  EXPECT_TRUE(receiver.fails(1, "standard output: Broken pipe"));
  EXPECT_TRUE(sender.fails(1, "standard output: Broken pipe"));
}

TEST_F(TransferFailureTest, AnUnreadableInputFailsBeforeAReceiverIsDisturbed) {
  Command receiver = recv({"channel", "--output", file("result")});
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  EXPECT_TRUE(send({"channel", file("missing")}).fails(1, "missing: No such file or directory"));
  EXPECT_TRUE(send({"channel", directory_.path()}).fails(1, "Is a directory"));
  write_file(file("in"), "content");
  EXPECT_TRUE(send({"channel", file("in")}).succeeds());
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_EQ(read_file(file("result")), "content");
}

TEST_F(TransferFailureTest, AnOutputThatCantBeMadeFailsAtOnce) {
  EXPECT_TRUE(recv({"channel", "--output", file("missing/result")}).fails(1, "No such file or directory"));
  EXPECT_TRUE(recv({"channel", "--output", directory_.path()}).fails(1, "Is a directory"));
  EXPECT_TRUE(recv({"channel", "--output", ""}).fails(1, "expected a file name"));
  EXPECT_TRUE(recv({"channel", "--output", file(std::string(300, 'x'))}).fails(1, "File name too long"));
}

TEST_F(TransferFailureTest, AnInputThatFailsInTheMiddleFailsBothSides) {
  const auto output = old_output();
  Command receiver = recv({"channel", "--output", output});
  // Reading this file works up to the first address that isn't mapped, which is the first one.
  Command sender = send({"channel", "/proc/self/mem"});
  EXPECT_TRUE(sender.fails(1, "read /proc/self/mem: Input/output error"));
  EXPECT_TRUE(receiver.fails(1, "the sender failed: read /proc/self/mem: Input/output error"));
  expect_untouched(output);
}

TEST_F(TransferFailureTest, ATakenNameFailsTheSecondReceiver) {
  Command first = recv({"channel", "--output", file("result")});
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  EXPECT_TRUE(recv({"channel", "--timeout", "30"}).fails(1, "already"));
  write_file(file("in"), "content");
  EXPECT_TRUE(send({"channel", file("in")}).succeeds());  // the first one goes on
  EXPECT_TRUE(first.succeeds());
}

TEST_F(TransferFailureTest, APeerThatNeverComesFailsAfterTheTimeout) {
  EXPECT_TRUE(recv({"channel", "--timeout", "0.2"}).fails(1, "no sender came to \"channel\" within 0.2 s"));
  EXPECT_FALSE(std::filesystem::exists(socket()));
  EXPECT_TRUE(send({"channel", "--timeout", "0.2"}).fails(1, "for a listener at"));
}

TEST_F(TransferFailureTest, AFifoWithoutAReaderKeepsNoReceiverBeyondItsTimeout) {
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(recv({"channel", "--output", file("fifo"), "-t", "0.2"})
                  .fails(1, "no reader came to " + file("fifo") + " within 0.2 s"));
  Command receiver = recv({"channel", "--output", file("fifo"), "-t", "60"});
  write_file(file("in"), "content");
  Command sender = send({"channel", file("in")});
  EXPECT_EQ(read_from(open_file(file("fifo"), O_RDONLY), 8), "content");
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(TransferFailureTest, AFifoWithoutAWriterKeepsNoSenderBeyondItsTimeout) {
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(send({"channel", file("fifo"), "-t", "0.2"}).fails(1, "for a listener at"));
  // Nor when the receiver dies.
  Command receiver = recv({"channel", "--output", file("result")});
  Command sender = send({"channel", file("fifo")});
  ASSERT_TRUE(comes_true([&] { return !std::filesystem::exists(socket()) && is_asleep(receiver.pid()); }));
  receiver.signal(SIGKILL);
  EXPECT_TRUE(sender.fails(1, "the receiver died"));
}

TEST_F(TransferFailureTest, AFifoIsSentOnceItsWriterComes) {
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  Command receiver = recv({"channel", "--output", file("result")});
  Command sender = send({"channel", file("fifo")});
  write_to(open_file(file("fifo"), O_WRONLY), "content");
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_EQ(read_file(file("result")), "content");
}

TEST_F(TransferFailureTest, AStaleSocketOfAKilledReceiverIsTakenOver) {
  {
    Command killed = recv({"channel"});
    ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
    killed.signal(SIGKILL);
    killed.wait();
  }
  ASSERT_TRUE(std::filesystem::exists(socket()));
  write_file(file("in"), "content");
  Command receiver = recv({"channel", "--output", file("result")});
  EXPECT_TRUE(send({"channel", file("in")}).succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(TransferFailureTest, WrongUsageIsRefusedWithExitCodeTwo) {
  for (const std::string block : {"0", "-1", "nonsense", "257MiB", "99999999999999999999"}) {
    SCOPED_TRACE(block);
    EXPECT_TRUE(send({"channel", "--block", block}).fails(2, "--block"));
  }
  for (const std::string timeout : {"-1", "nan", "inf", "soon"}) {
    SCOPED_TRACE(timeout);
    EXPECT_TRUE(recv({"channel", "--timeout", timeout}).fails(2, "--timeout"));
  }
  EXPECT_TRUE(send({}).fails(2, "NAME"));
}

TEST_F(TransferFailureTest, ABadNameIsRefused) {
  EXPECT_TRUE(recv({"a/b"}).fails(1, "channel name"));
  EXPECT_TRUE(send({std::string(65, 'x')}).fails(1, "channel name"));
}

}  // namespace
}  // namespace sluice::test
