// sluice send --resume and sluice recv --resume: killed at any time and run again, they finish the file.
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "sluice/ipc/connect/session.hpp"
#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class ResumeTransferTest : public TransferTest {
 protected:
  ResumeTransferTest() { write_file(input_, content_); }

  /// A side, as it is run the first time and every time after.
  Command sender(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"--resume", "channel", input_, "--timeout", "60"};
    if (more.empty()) more = {"--block", "4096"};
    words.insert(words.end(), more.begin(), more.end());
    return send(std::move(words));
  }
  Command receiver(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"--resume", "channel", "--output", output_, "--timeout", "60"};
    words.insert(words.end(), more.begin(), more.end());
    return recv(std::move(words));
  }
  // One that is killed and reaped by reset().
  using Side = std::unique_ptr<Command>;
  Side start_sender(std::vector<std::string> more = {}) { return Side(new Command(sender(std::move(more)))); }
  Side start_receiver(const std::vector<std::string>& more = {}) { return Side(new Command(receiver(more))); }

  /// A transfer that stands still in the middle: the ring is full, and the receiver is stopped.
  void hold_in_the_middle(const Command& sending, const Command& receiving) const {
    ASSERT_TRUE(comes_true([&] { return part_bytes() > 0 && part_bytes() < content_.size(); }));
    receiving.signal(SIGSTOP);
    ASSERT_TRUE(comes_true([&] { return is_asleep(sending.pid()); }));
    ASSERT_LT(part_bytes(), content_.size());
  }
  std::uintmax_t part_bytes() const {
    std::error_code none;
    const auto size = std::filesystem::file_size(part_, none);
    return none ? 0 : size;
  }
  static bool ends_well(Command& side) {
    const ExitStatus status = side.wait();
    if (!status.ok()) ADD_FAILURE() << to_string(status) << ": " << side.errors();
    return status.ok();
  }
  static bool says(const Command& side, const std::string& words) {
    return side.errors().find(words) != std::string::npos;
  }
  void expect_complete() const {
    EXPECT_TRUE(read_file(output_) == content_);
    EXPECT_EQ(files_in(output_.parent_path()), 1U);
  }

  std::string content_ = noise(32'000'000);
  std::string input_ = file("in");
  std::filesystem::path output_ = output_directory() / "result";
  std::filesystem::path part_ = output_directory() / "result.part";
};

TEST_F(ResumeTransferTest, CarriesEverySizeAroundABlockInEitherOrder) {
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 8192U, 1'048'577U}) {
    SCOPED_TRACE(size);
    content_.resize(size);
    write_file(input_, content_);
    Side sending;
    if (size % 2 == 0) sending = start_sender();
    Command receiving = receiver();
    if (!sending) sending = start_sender();
    EXPECT_TRUE(sending->succeeds());
    expect_complete();
    EXPECT_TRUE(receiving.succeeds());
    std::filesystem::remove(output_);
  }
}

TEST_F(ResumeTransferTest, FinishesTheFileThoughEitherSideIsKilledAgainAndAgain) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr int kKills = 30;
  const std::vector<std::string> small_blocks{"--block", "128"};
  Side receiving = start_receiver();
  Side sending = start_sender(small_blocks);
  ASSERT_TRUE(comes_true([&] { return part_bytes() > 0; }));  // the session is there
  int kills = 0;
  while (kills < kKills && !sending->ended_within(std::chrono::milliseconds(random() % 8))) {
    const bool of_receiver = random() % 2 == 0;
    Side& victim = of_receiver ? receiving : sending;
    victim->signal(SIGKILL);
    // It may have finished on its own. Then the other does so, too.
    if (victim->wait().ok()) break;
    ++kills;
    victim.reset();
    victim = of_receiver ? start_receiver() : start_sender(small_blocks);
    // One at a time: the session lives in the other process.
    ASSERT_TRUE(comes_true([&] { return says(*victim, "resumed") || sending->ended_within(0ms); }));
  }
  std::printf("%d kills, seed %lu\n", kills, static_cast<unsigned long>(seed));
  if (ends_well(*sending)) expect_complete();
  // One that was killed after the end, and run again, would wait for the next file.
  if (!says(*receiving, "resumed")) ends_well(*receiving);
}

TEST_F(ResumeTransferTest, AReceiverThatIsRunAgainWritesWhatWasNotReleasedOnceMore) {
  Command sending = sender();
  Side first = start_receiver();
  hold_in_the_middle(sending, *first);
  struct stat info {};
  ASSERT_EQ(::stat(part_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  first.reset();
  ASSERT_TRUE(comes_true([&] { return says(sending, "the receiver is gone; waiting 300 s"); }));
  Command second = receiver();
  EXPECT_TRUE(ends_well(sending));
  EXPECT_TRUE(ends_well(second));
  EXPECT_TRUE(says(second, "resumed with the sender"));
  EXPECT_TRUE(says(sending, "resumed with the receiver"));
  expect_complete();
}

TEST_F(ResumeTransferTest, ASenderThatIsRunAgainGoesOnBehindWhatWasPosted) {
  Side first = start_sender();
  Command receiving = receiver();
  hold_in_the_middle(*first, receiving);
  const auto held = part_bytes();
  first.reset();
  receiving.signal(SIGCONT);
  ASSERT_TRUE(comes_true([&] { return says(receiving, "the sender is gone"); }));
  Command second = sender();
  EXPECT_TRUE(ends_well(second));
  EXPECT_TRUE(ends_well(receiving));
  const std::string text = second.errors();
  const auto at = text.find("going on at byte ");
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_GT(std::stoull(text.substr(at + 17)), held);
  expect_complete();
}

TEST_F(ResumeTransferTest, KeepsThePermissionsOfTheFileThatItReplacesAndTheFileUntilThen) {
  write_file(output_, "old");
  ::chmod(output_.c_str(), 0640);
  write_file(part_, std::string(content_.size() + 100, 'x'));  // of some other transfer, and longer
  Command sending = sender();
  Command receiving = receiver();
  hold_in_the_middle(sending, receiving);
  EXPECT_EQ(read_file(output_), "old");
  receiving.signal(SIGCONT);
  EXPECT_TRUE(ends_well(sending));
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
  struct stat info {};
  ASSERT_EQ(::stat(output_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
}

/// A receiver that dies when it holds the end and has not released it.
class KilledAtTheEnd : public ResumeTransferTest {
 protected:
  KilledAtTheEnd() {
    content_ = "a short file";
    write_file(input_, content_);
    sending_ = start_sender();
    Pipe done;
    ChildProcess child([&] {
      Port port = host_session("channel");
      Message manifest = port.receive();
      if (port.post_message(manifest.bytes()) != Status::ok) return 1;
      manifest.release();
      port.receive().release();
      const Message end = port.receive();
      write_to(done.write, std::to_string(end.sequence()));
      ::pause();
      return 0;
    });
    EXPECT_EQ(read_from(done.read, 1), "3");
    child.signal(SIGKILL);
  }

  Side sending_;
};

TEST_F(KilledAtTheEnd, FindsTheFileCompleteWhereItHasItsNameAlready) {
  write_file(output_, content_);
  Command receiving = receiver();
  EXPECT_TRUE(ends_well(*sending_));
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
}

TEST_F(KilledAtTheEnd, GivesTheFileItsNameWhereItHasNot) {
  write_file(part_, content_);
  Command receiving = receiver();
  EXPECT_TRUE(ends_well(*sending_));
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
}

TEST_F(KilledAtTheEnd, RefusesAPartOfTheRightSizeWithAnotherContent) {
  write_file(output_, "old");
  write_file(part_, std::string(content_.size(), 'x'));
  Command receiving = receiver();
  EXPECT_EQ(receiving.wait().code, 1);
  EXPECT_TRUE(says(receiving, "doesn't have the SHA-256"));
  EXPECT_EQ(sending_->wait().code, 1);
  EXPECT_TRUE(says(*sending_, "the receiver gave up"));
  EXPECT_EQ(read_file(output_), "old");
  EXPECT_EQ(files_in(output_.parent_path()), 1U);
}

TEST_F(KilledAtTheEnd, RefusesAnotherOutputAndGoesOnWithTheRightOne) {
  Command wrong = recv({"--resume", "channel", "--output", file("elsewhere")});
  EXPECT_EQ(wrong.wait().code, 1);
  EXPECT_TRUE(says(wrong, "is --output the same?")) << wrong.errors();
  write_file(part_, content_);
  Command right = receiver();
  EXPECT_TRUE(ends_well(*sending_));
  EXPECT_TRUE(ends_well(right));
  expect_complete();
}

TEST_F(KilledAtTheEnd, RefusesAPartThatIsALinkToAnotherFile) {
  write_file(file("precious"), "precious");
  for (const bool symbolic : {true, false}) {
    std::filesystem::remove(part_);
    if (symbolic) {
      std::filesystem::create_symlink(file("precious"), part_);
    } else {
      std::filesystem::create_hard_link(file("precious"), part_);
    }
    Command receiving = receiver();
    EXPECT_EQ(receiving.wait().code, 1);
    EXPECT_TRUE(says(receiving, symbolic ? "symbolic link" : "one name")) << receiving.errors();
    EXPECT_EQ(read_file(file("precious")), "precious");
  }
}

TEST_F(ResumeTransferTest, RefusesAnotherBlockSizeOrFileAndGoesOnWithTheRightOnes) {
  Side first = start_sender();
  Command receiving = receiver();
  hold_in_the_middle(*first, receiving);
  first.reset();
  receiving.signal(SIGCONT);
  Command other_block = sender({"--block", "8192"});
  EXPECT_EQ(other_block.wait().code, 1);
  EXPECT_TRUE(says(other_block, "was begun with --block 4096, not 8192")) << other_block.errors();
  const auto changed = std::filesystem::last_write_time(input_);
  std::filesystem::last_write_time(input_, changed + 1s);
  Command other_file = sender();
  EXPECT_EQ(other_file.wait().code, 1);
  EXPECT_TRUE(says(other_file, "is not the file that the transfer was begun with")) << other_file.errors();
  std::filesystem::last_write_time(input_, changed);
  Command right = sender();
  EXPECT_TRUE(ends_well(right));
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
}

TEST_F(ResumeTransferTest, RefusesAFileWhoseContentChangedInSecret) {
  write_file(output_, "old");
  Side first = start_sender();
  Command receiving = receiver();
  hold_in_the_middle(*first, receiving);
  first.reset();
  receiving.signal(SIGCONT);
  const auto changed = std::filesystem::last_write_time(input_);
  content_.front() = static_cast<char>(~content_.front());
  write_file(input_, content_);
  std::filesystem::last_write_time(input_, changed);
  Command second = sender();
  EXPECT_EQ(second.wait().code, 1);
  EXPECT_TRUE(says(second, "the receiver gave up")) << second.errors();
  EXPECT_EQ(receiving.wait().code, 1);
  EXPECT_TRUE(says(receiving, "doesn't have the SHA-256")) << receiving.errors();
  EXPECT_EQ(read_file(output_), "old");
  EXPECT_EQ(files_in(output_.parent_path()), 1U);
}

TEST_F(ResumeTransferTest, RefusesAFileThatGrowsWhileItIsSent) {
  Command sending = sender();
  Command receiving = receiver();
  hold_in_the_middle(sending, receiving);
  write_file(input_, content_ + "more");
  receiving.signal(SIGCONT);
  EXPECT_EQ(sending.wait().code, 1);
  EXPECT_TRUE(says(sending, "was changed while it was sent")) << sending.errors();
  EXPECT_EQ(receiving.wait().code, 1);
  EXPECT_TRUE(says(receiving, "the sender gave up")) << receiving.errors();
  EXPECT_EQ(files_in(output_.parent_path()), 0U);
}

TEST_F(ResumeTransferTest, GoesOnWhenADiskThatWasFullHasRoomAgain) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{10U << 20U, before.rlim_max};
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);  // inherited: pwrite() then says EFBIG
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Command first = receiver();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  Command sending = sender();
  EXPECT_TRUE(first.fails(1, "result.part: File too large"));
  Command second = receiver();
  EXPECT_TRUE(ends_well(sending));
  EXPECT_TRUE(ends_well(second));
  expect_complete();
}

TEST_F(ResumeTransferTest, EndsWhenNobodyIsRunAgainWithinTheWindow) {
  Side sending = start_sender({"--resume-window", "0.05"});
  Side receiving = start_receiver();
  hold_in_the_middle(*sending, *receiving);
  receiving.reset();
  EXPECT_EQ(sending->wait().code, 1);
  EXPECT_TRUE(says(*sending, "the receiver died, and nobody ran it again within 0.05 s"))
      << sending->errors();

  std::filesystem::remove(part_);
  sending = start_sender();
  receiving = start_receiver({"--resume-window", "0.05"});
  hold_in_the_middle(*sending, *receiving);
  sending.reset();
  receiving->signal(SIGCONT);
  EXPECT_EQ(receiving->wait().code, 1);
  EXPECT_TRUE(says(*receiving, "the sender died, and nobody ran it again within 0.05 s"))
      << receiving->errors();
  EXPECT_EQ(files_in(output_.parent_path()), 0U);
}

TEST_F(ResumeTransferTest, BeginsAnewWhenBothWereKilled) {
  {
    const Command sending = sender();
    const Command receiving = receiver();
    hold_in_the_middle(sending, receiving);
  }
  EXPECT_GT(part_bytes(), 0U);
  Command sending = sender({"--block", "100000"});
  Command receiving = receiver();
  EXPECT_TRUE(sending.succeeds());
  EXPECT_TRUE(receiving.succeeds());
  expect_complete();
}

TEST_F(ResumeTransferTest, NeedsFilesThatCanBeUsedASecondTime) {
  EXPECT_TRUE(send({"--resume", "channel"}).fails(1, "--resume needs a FILE"));
  EXPECT_TRUE(send({"--resume", "channel", "/dev/zero"}).fails(1, "needs a regular file"));
  EXPECT_TRUE(send({"--resume", "channel", directory_.path()}).fails(1, "Is a directory"));
  EXPECT_TRUE(send({"--resume", "channel", file("missing")}).fails(1, "No such file"));
  EXPECT_TRUE(recv({"--resume", "channel"}).fails(1, "--resume needs --output FILE"));
  EXPECT_TRUE(recv({"--resume", "channel", "--output", "/dev/null"}).fails(1, "needs a regular file"));
  EXPECT_TRUE(recv({"--resume", "channel", "--output", directory_.path()}).fails(1, "Is a directory"));
  EXPECT_TRUE(recv({"--resume", "channel", "--output", file("missing/out")}).fails(1, "No such file"));
}

TEST_F(ResumeTransferTest, RefusesOptionsThatDontGoTogether) {
  EXPECT_TRUE(send({"--resume", "--stream", "channel", input_}).fails(2, "--resume"));
  EXPECT_TRUE(recv({"--resume", "--stdio", "--output", output_}).fails(2, "--resume"));
  EXPECT_TRUE(send({"--resume-window", "3", "channel", input_}).fails(2, "--resume"));
  EXPECT_TRUE(send({"--resume", "--resume-window", "soon", "channel", input_}).fails(2, "--resume-window"));
  EXPECT_TRUE(send({"--resume"}).fails(2, "NAME"));
}

TEST_F(ResumeTransferTest, SaysThatTheOtherSideWasRunWithoutIt) {
  {
    Command plain = recv({"channel", "--output", output_});
    ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
    EXPECT_TRUE(sender().fails(1, "plain connections are offered here"));
  }
  Command resumable = receiver();
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  EXPECT_TRUE(send({"channel", input_, "--timeout", "10"}).fails(1, "a session is offered here"));
  Command sending = sender();
  EXPECT_TRUE(ends_well(sending));
  EXPECT_TRUE(ends_well(resumable));
  expect_complete();
}

}  // namespace
}  // namespace sluice::test
