// sluice send --resume and sluice recv --resume: killed at any time and run again, they finish the file.
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

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
  static std::size_t times_said(const Command& side, const std::string& words) {
    const std::string text = side.errors();
    std::size_t times = 0;
    for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++times;
    return times;
  }
  void expect_complete() const {
    EXPECT_TRUE(read_file(output_) == content_);
    EXPECT_EQ(files_in(output_.parent_path()), 1U);
  }

  std::string content_ = noise(32'000'000);
  std::string input_ = file("in");
  std::filesystem::path output_ = output_directory() / "result";
  std::filesystem::path part_ = output_directory() / ".result.sluice-part";
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
  Side* survivor = &sending;
  while (kills < kKills && !(*survivor)->ended_within(std::chrono::milliseconds(random() % 8))) {
    const bool of_receiver = random() % 2 == 0;
    Side& victim = of_receiver ? receiving : sending;
    survivor = of_receiver ? &sending : &receiving;
    const auto resumed = times_said(**survivor, "resumed with");
    victim->signal(SIGKILL);
    if (victim->wait().ok()) break;  // it had finished
    ++kills;
    victim.reset();
    victim = of_receiver ? start_receiver() : start_sender(small_blocks);
    // One at a time: somebody must be there to go on with.
    ASSERT_TRUE(comes_true(
        [&] { return times_said(**survivor, "resumed with") > resumed || (*survivor)->ended_within(0ms); }));
  }
  std::printf("%d kills, seed %lu\n", kills, static_cast<unsigned long>(seed));
  // Whoever was killed after the end, and run again, waits for the next transfer.
  if (ends_well(**survivor)) expect_complete();
}

TEST_F(ResumeTransferTest, AReceiverThatIsRunAgainGoesOnBehindWhatItHas) {
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
  EXPECT_TRUE(says(sending, "resumed with the receiver"));
  expect_complete();
}

TEST_F(ResumeTransferTest, ASenderThatIsRunAgainGoesOnBehindWhatTheReceiverHas) {
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

TEST_F(ResumeTransferTest, AReceiverThatWasKilledBeforeItSaidSoGetsTheFileOnceMore) {
  write_file(output_, content_);
  Command sending = sender();
  Command receiving = receiver();
  EXPECT_TRUE(sending.succeeds());
  EXPECT_TRUE(receiving.succeeds());
  expect_complete();
}

TEST_F(ResumeTransferTest, TakesWhatAnEarlierRunLeftIfTheFileBeginsWithIt) {
  for (const std::size_t left : {std::size_t{0}, std::size_t{1}, std::size_t{1'500'000}, content_.size()}) {
    SCOPED_TRACE(left);
    write_file(part_, content_.substr(0, left));
    Command receiving = receiver();
    Command sending = sender();
    EXPECT_TRUE(ends_well(sending));
    EXPECT_TRUE(ends_well(receiving));
    EXPECT_EQ(says(sending, "going on at byte " + std::to_string(left) + "\n"), left > 0);
    expect_complete();
  }
}

TEST_F(ResumeTransferTest, BeginsAnewIfWhatIsThereIsOfAnotherFileOrLonger) {
  std::string other = content_;
  other.at(1000) = static_cast<char>(~other.at(1000));
  for (const std::string& left : {other.substr(0, 2000), other, content_ + "x", other + "x"}) {
    SCOPED_TRACE(left.size());
    write_file(part_, left);
    Command receiving = receiver();
    Command sending = sender();
    EXPECT_TRUE(sending.succeeds());
    EXPECT_TRUE(receiving.succeeds());
    expect_complete();
  }
  write_file(part_, other);
  content_.clear();
  write_file(input_, "");
  Command receiving = receiver();
  EXPECT_TRUE(sender().succeeds());
  EXPECT_TRUE(receiving.succeeds());
  expect_complete();
}

TEST_F(ResumeTransferTest, RefusesAPartThatIsALinkToAnotherFileOrNoFile) {
  write_file(file("precious"), "precious");
  for (const std::string kind : {"symbolic link", "one name", "something else"}) {
    std::filesystem::remove(part_);
    if (kind == "symbolic link") std::filesystem::create_symlink(file("precious"), part_);
    if (kind == "one name") std::filesystem::create_hard_link(file("precious"), part_);
    if (kind == "something else") ::mkfifo(part_.c_str(), 0600);
    EXPECT_TRUE(receiver().fails(1, kind));
    EXPECT_EQ(read_file(file("precious")), "precious");
  }
}

TEST_F(ResumeTransferTest, LeavesOtherFilesThatAreNamedLikeAPartAlone) {
  const auto of_a_browser = output_.string() + ".part";
  write_file(of_a_browser, "half a download");
  Command receiving = receiver();
  EXPECT_TRUE(sender().succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(read_file(of_a_browser), "half a download");
  EXPECT_EQ(files_in(output_.parent_path()), 2U);
}

TEST_F(ResumeTransferTest, HasOneReceiverAtATimeForAnOutput) {
  Command first = receiver();
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  EXPECT_TRUE(
      recv({"--resume", "elsewhere", "--output", output_}).fails(1, "is being written by another process"));
  EXPECT_TRUE(sender().succeeds());
  EXPECT_TRUE(first.succeeds());
}

TEST_F(ResumeTransferTest, GoesOnWithAnotherBlockSizeAndBeginsAnewWithAFileThatChangedInSecret) {
  Side first = start_sender();
  Command receiving = receiver();
  hold_in_the_middle(*first, receiving);
  first.reset();
  receiving.signal(SIGCONT);
  ASSERT_TRUE(comes_true([&] { return says(receiving, "the sender is gone"); }));
  const auto changed = std::filesystem::last_write_time(input_);
  content_.front() = static_cast<char>(~content_.front());
  write_file(input_, content_);
  std::filesystem::last_write_time(input_, changed);
  Command second = sender({"--block", "8192"});
  EXPECT_TRUE(second.succeeds());  // and doesn't say that it goes on
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
}

TEST_F(ResumeTransferTest, TakesNoOtherSendersFileForTheOneThatItWaitsFor) {
  const std::string other = file("other");
  const std::string same_beginning = file("same-beginning");
  write_file(other, noise(1000));
  write_file(same_beginning, content_);
  Side first = start_sender();
  Command receiving = receiver();
  hold_in_the_middle(*first, receiving);
  first.reset();
  receiving.signal(SIGCONT);
  ASSERT_TRUE(comes_true([&] { return says(receiving, "the sender is gone"); }));
  const std::string empty = file("empty");
  write_file(empty, "");
  for (const std::string& wrong : {other, same_beginning, empty}) {
    Command stranger = send({"--resume", "channel", wrong, "--timeout", "60"});
    EXPECT_FALSE(stranger.wait().ok()) << wrong;
    EXPECT_TRUE(says(stranger, "another file than the one that is waited for")) << stranger.errors();
  }
  Command second = sender();
  EXPECT_TRUE(ends_well(second));
  EXPECT_TRUE(says(second, "going on at byte"));
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
}

TEST_F(ResumeTransferTest, FailsForBothIfTheFileGrowsWhileItIsSent) {
  write_file(output_, "old");
  Command sending = sender();
  Command receiving = receiver();
  hold_in_the_middle(sending, receiving);
  write_file(input_, content_ + "more");
  receiving.signal(SIGCONT);
  EXPECT_TRUE(sending.fails(1, "was changed while it was sent"));
  EXPECT_TRUE(receiving.fails(1, "was changed while it was sent"));
  EXPECT_EQ(read_file(output_), "old");
}

TEST_F(ResumeTransferTest, GoesOnWhenADiskThatWasFullHasRoomAgain) {
  Command first(directory_, {"sluice", "recv", "--resume", "channel", "--output", output_}, {}, {}, [] {
    const rlimit small{10U << 20U, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &small);
  });
  EXPECT_TRUE(sender().fails(1, "the receiver failed: write "));
  EXPECT_TRUE(first.fails(1, ".result.sluice-part: File too large"));
  EXPECT_EQ(part_bytes(), 10U << 20U);
  Command receiving = receiver();
  Command sending = sender();
  EXPECT_TRUE(ends_well(sending));
  EXPECT_TRUE(says(sending, "going on at byte 10485760"));
  EXPECT_TRUE(ends_well(receiving));
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
}

TEST_F(ResumeTransferTest, GoesOnWhenBothWereKilled) {
  {
    const Command sending = sender();
    const Command receiving = receiver();
    hold_in_the_middle(sending, receiving);
  }
  EXPECT_GT(part_bytes(), 0U);
  Command sending = sender({"--block", "100000"});
  Command receiving = receiver();
  EXPECT_TRUE(ends_well(sending));
  EXPECT_TRUE(says(sending, "going on at byte "));
  EXPECT_TRUE(ends_well(receiving));
  expect_complete();
}

TEST_F(ResumeTransferTest, SendsAllOfAFileThatSaysItIsEmpty) {
  input_ = "/proc/version";
  Command receiving = receiver();
  EXPECT_TRUE(sender().succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(read_file(output_), read_file(input_));
}

TEST_F(ResumeTransferTest, WorksIfOneSideOnlyWasRunWithIt) {
  {
    Command plain = recv({"channel", "--output", output_});
    EXPECT_TRUE(sender().succeeds());
    EXPECT_TRUE(plain.succeeds());
    expect_complete();
  }
  write_file(part_, content_.substr(0, 1000));
  Command resumable = receiver();
  EXPECT_TRUE(send({"channel", input_}).succeeds());
  EXPECT_TRUE(resumable.succeeds());
  expect_complete();
}

TEST_F(ResumeTransferTest, NeedsFilesThatCanBeUsedASecondTime) {
  EXPECT_TRUE(send({"--resume", "channel"}).fails(1, "--resume needs a FILE"));
  EXPECT_TRUE(send({"--resume", "channel", "/dev/zero"}).fails(1, "needs a regular file"));
  EXPECT_TRUE(send({"--resume", "channel", directory_.path()}).fails(1, "Is a directory"));
  EXPECT_TRUE(send({"--resume", "channel", file("missing")}).fails(1, "No such file"));
  EXPECT_TRUE(recv({"--resume", "channel"}).fails(1, "--resume needs --output FILE"));
  EXPECT_TRUE(recv({"--resume", "channel", "--output", "/dev/null"}).fails(1, "needs a regular file"));
  EXPECT_TRUE(recv({"--resume", "channel", "--output", directory_.path()}).fails(1, "needs a regular file"));
  EXPECT_TRUE(recv({"--resume", "channel", "--output", file("missing/out")}).fails(1, "No such file"));
}

TEST_F(ResumeTransferTest, RefusesOptionsThatDontGoTogether) {
  EXPECT_TRUE(recv({"--resume", "--stdio", "--output", output_}).fails(2, "--resume"));
  EXPECT_TRUE(send({"--resume-window", "3", "channel", input_}).fails(2, "--resume"));
  EXPECT_TRUE(send({"--resume", "--resume-window", "soon", "channel", input_}).fails(2, "--resume-window"));
  EXPECT_TRUE(send({"--resume"}).fails(2, "NAME"));
}

}  // namespace
}  // namespace sluice::test
