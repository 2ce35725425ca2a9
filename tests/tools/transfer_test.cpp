// sluice send and sluice recv where all goes well.
#include <sys/stat.h>

#include <thread>

#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

TEST_F(TransferTest, CarriesAFileToAReceiverThatCameFirst) {
  const std::string content = noise(300'000);
  write_file(file("in"), content);
  Command receiver = recv({"channel", "--output", file("result")});
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  Command sender = send({"channel", file("in")});
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_EQ(read_file(file("result")), content);
  EXPECT_FALSE(std::filesystem::exists(socket()));
}

TEST_F(TransferTest, CarriesAFileFromASenderThatCameFirst) {
  const std::string content = noise(300'000);
  write_file(file("in"), content);
  Command sender = send({"channel", file("in")});
  // It sleeps between two looks for a receiver.
  ASSERT_TRUE(comes_true([&] { return is_asleep(sender.pid()); }));
  Command receiver = recv({"channel", "--output", file("result")});
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_EQ(read_file(file("result")), content);
}

TEST_F(TransferTest, TheOutputIsCompleteWhenTheSenderHasExited) {
  const std::string content = noise(3'000'000);
  write_file(file("in"), content);
  Command receiver = recv({"channel", "--output", file("result")});
  Command sender = send({"channel", file("in")});
  EXPECT_TRUE(sender.succeeds());
  EXPECT_EQ(read_file(file("result")), content);
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(TransferTest, CarriesEverySizeAroundABlock) {
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 8192U, 1'048'576U}) {
    SCOPED_TRACE(size);
    const std::string content = noise(size);
    write_file(file("in"), content);
    Command receiver = recv({"channel", "--output", file("result")});
    Command sender = send({"channel", file("in"), "--block", "4096"});
    EXPECT_TRUE(sender.succeeds());
    EXPECT_TRUE(receiver.succeeds());
    EXPECT_EQ(read_file(file("result")), content);
  }
}

TEST_F(TransferTest, TakesBlocksOfOneByteAndOfMoreThanADefaultRing) {
  const std::string content = noise(5'000'000);
  for (const auto& [block, count] :
       std::vector<std::pair<std::string, std::size_t>>{{"1", 5000}, {"2MiB", 5'000'000}}) {
    SCOPED_TRACE(block);
    write_file(file("in"), content.substr(0, count));
    Command receiver = recv({"channel", "--output", file("result")});
    Command sender = send({"channel", file("in"), "--block", block});
    EXPECT_TRUE(sender.succeeds());
    EXPECT_TRUE(receiver.succeeds());
    EXPECT_EQ(read_file(file("result")), content.substr(0, count));
  }
}

TEST_F(TransferTest, CarriesTwoHundredMegabytesThroughPipes) {
  constexpr std::size_t kPart = 1'000'000;
  constexpr int kParts = 200;
  const std::string part = noise(kPart);
  Pipe in;
  Pipe out;
  Command sender = send({"channel"}, in.read);
  Command receiver = recv({"channel"}, out.write);
  in.read.reset();
  out.write.reset();
  std::thread feeder([&] {
    std::string changing = part;
    for (int i = 0; i < kParts; ++i) {
      changing.front() = static_cast<char>(i);
      write_to(in.write, changing);
    }
    in.write.reset();
  });
  std::string expected = part;
  for (int i = 0; i < kParts; ++i) {
    expected.front() = static_cast<char>(i);
    ASSERT_TRUE(read_from(out.read, kPart) == expected) << "part " << i;
  }
  EXPECT_EQ(read_from(out.read, 1), "");
  feeder.join();
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(TransferTest, PassesOnWhatAPipeBringsWithoutWaitingForAFullBlock) {
  Pipe in;
  Pipe out;
  Command sender = send({"channel"}, in.read);
  Command receiver = recv({"channel"}, out.write);
  for (const std::string word : {"one", "two", "three"}) {
    write_to(in.write, word);
    EXPECT_EQ(read_from(out.read, word.size()), word);
  }
  in.write.reset();
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(TransferTest, ASecondSenderWaitsForTheNextReceiver) {
  Pipe in;
  Pipe out;
  Command first = send({"channel"}, in.read);
  Command first_receiver = recv({"channel"}, out.write);
  write_to(in.write, "x");
  ASSERT_EQ(read_from(out.read, 1), "x");  // these two have found each other
  write_file(file("in"), "second");
  Command second = send({"channel", file("in")});
  Command second_receiver = recv({"channel", "--output", file("result")});
  EXPECT_TRUE(second.succeeds());
  EXPECT_TRUE(second_receiver.succeeds());
  EXPECT_EQ(read_file(file("result")), "second");
  in.write.reset();
  EXPECT_TRUE(first.succeeds());
  EXPECT_TRUE(first_receiver.succeeds());
}

TEST_F(TransferTest, TwoSendersAtOnceAreServedByTwoReceiversInTurn) {
  write_file(file("in"), "content");
  Command first = send({"channel", file("in")});
  Command second = send({"channel", file("in")});
  for (int i = 0; i < 2; ++i) {
    Command receiver = recv({"channel", "--output", file("result")});
    EXPECT_TRUE(receiver.succeeds());
    EXPECT_EQ(read_file(file("result")), "content");
    std::filesystem::remove(file("result"));
  }
  EXPECT_TRUE(first.succeeds());
  EXPECT_TRUE(second.succeeds());
}

TEST_F(TransferTest, MakesTheOutputToWhichALinkLeadsWhereNothingIsYet) {
  std::filesystem::create_directory(file("elsewhere"));
  std::filesystem::create_symlink("elsewhere/second", file("first"));
  std::filesystem::create_symlink(file("elsewhere/result"), file("elsewhere/second"));
  write_file(file("in"), "content");
  for (const std::string kind : {"--quiet", "--resume"}) {
    SCOPED_TRACE(kind);
    Command receiver = recv({"channel", "--output", file("first"), kind});
    EXPECT_TRUE(send({"channel", file("in")}).succeeds());
    EXPECT_TRUE(receiver.succeeds());
    EXPECT_EQ(read_file(file("elsewhere/result")), "content");
    std::filesystem::remove(file("elsewhere/result"));
  }
  std::filesystem::create_symlink("circle", file("circle"));
  EXPECT_TRUE(recv({"channel", "--output", file("circle")}).fails(1, "Too many levels of symbolic links"));
}

TEST_F(TransferTest, TakesOutputNamesOfAnyLengthThatTheFileSystemTakes) {
  write_file(file("in"), "content");
  for (const std::size_t length : {242U, 243U, 250U, 255U}) {
    for (const std::string kind : {"--quiet", "--resume"}) {
      SCOPED_TRACE(kind + " " + std::to_string(length));
      const auto output = output_directory() / std::string(length, 'x');
      Command receiver = recv({"channel", "--output", output, kind});
      EXPECT_TRUE(send({"channel", file("in")}).succeeds());
      EXPECT_TRUE(receiver.succeeds());
      EXPECT_EQ(read_file(output), "content");
    }
  }
}

TEST_F(TransferTest, ReplacesTheOldOutputBehindALinkAndKeepsItsPermissions) {
  const auto directory = output_directory();
  write_file(directory / "real", "old");
  ::chmod((directory / "real").c_str(), 0640);
  std::filesystem::create_symlink("real", directory / "link");
  write_file(file("in"), "new");
  Command receiver = recv({"channel", "--output", directory / "link"});
  Command sender = send({"channel", file("in")});
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
  EXPECT_EQ(read_file(directory / "real"), "new");
  struct stat info {};
  ASSERT_EQ(::stat((directory / "real").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
  EXPECT_EQ(files_in(directory), 2U);
}

}  // namespace
}  // namespace sluice::test
