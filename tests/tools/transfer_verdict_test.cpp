// sluice send exits with what became of the content at the receiver, in every kind of transfer.
#include <sys/stat.h>

#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

/// Both sides' options.
class TransferVerdict : public TransferTest, public ::testing::WithParamInterface<std::vector<std::string>> {
 protected:
  TransferVerdict() { write_file(file("in"), content_); }

  Command sender() {
    std::vector<std::string> words = GetParam();
    words.insert(words.end(), {"channel", file("in")});
    return send(words);
  }
  Command receiver(const std::string& output) {
    std::vector<std::string> words = GetParam();
    words.insert(words.end(), {"channel", "--output", output});
    return recv(words);
  }
  /// The receiver has looked at its output's place, and waits for a sender.
  void wait_for_channel() const {
    ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  }

  std::string content_ = noise(3'000'000);
};

TEST_P(TransferVerdict, IsGivenWhenTheOutputStandsUnderItsName) {
  const auto output = output_directory() / "result";
  Command receiving = receiver(output);
  Command sending = sender();
  EXPECT_TRUE(sending.succeeds());
  EXPECT_TRUE(read_file(output) == content_);
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(files_in(output_directory()), 1U);
}

TEST_P(TransferVerdict, SaysThatTheDirectoryIsGone) {
  const auto directory = output_directory();
  Command receiving = receiver(directory / "result");
  wait_for_channel();
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(sender().fails(1, "the receiver failed: "));
  EXPECT_TRUE(receiving.fails(1, "No such file or directory"));
}

TEST_P(TransferVerdict, SaysThatADirectoryHasTakenTheName) {
  const auto output = output_directory() / "result";
  Command receiving = receiver(output);
  wait_for_channel();
  std::filesystem::create_directory(output);
  Command sending = sender();
  EXPECT_TRUE(sending.fails(1, "the receiver failed: rename "));
  EXPECT_TRUE(sending.fails(1, "Is a directory"));
  EXPECT_TRUE(receiving.fails(1, "Is a directory"));
}

TEST_P(TransferVerdict, SaysThatAnotherUsersFileInAStickyDirectoryStays) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  constexpr uid_t kNobody = 65534;
  const auto sticky = output_directory();
  ::chmod(sticky.c_str(), 01777);
  write_file(sticky / "result", "theirs");
  ::chmod((sticky / "result").c_str(), 0644);
  const auto home = directory_.path() / "home";
  std::filesystem::create_directory(home);
  std::filesystem::copy(file("in"), home / "in");
  ASSERT_EQ(::chown(home.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(::chown((home / "in").c_str(), kNobody, kNobody), 0);
  ::chmod(directory_.path().c_str(), 01777);
  const auto as_nobody = [&](const std::string& verb, const std::vector<std::string>& more) {
    std::vector<std::string> words{"sluice", verb};
    words.insert(words.end(), GetParam().begin(), GetParam().end());
    words.insert(words.end(), more.begin(), more.end());
    return Command(directory_, words, {}, {}, [home] {
      ::setenv("XDG_RUNTIME_DIR", home.c_str(), 1);
      if (::setresgid(kNobody, kNobody, kNobody) != 0 || ::setresuid(kNobody, kNobody, kNobody) != 0)
        std::_Exit(126);
    });
  };
  Command receiving = as_nobody("recv", {"channel", "--output", sticky / "result"});
  Command sending = as_nobody("send", {"channel", home / "in"});
  EXPECT_TRUE(sending.fails(1, "Operation not permitted"));
  EXPECT_TRUE(receiving.fails(1, "Operation not permitted"));
  EXPECT_EQ(read_file(sticky / "result"), "theirs");
}

TEST_P(TransferVerdict, IsAFailureIfTheReceiverEndsWithoutOne) {
  ChildProcess receiving([&] {
    Port port = listen("channel").accept();
    std::array<std::byte, 48> nothing_there{};
    std::memcpy(nothing_there.data(), "SLUICE\0P", 8);
    if (port.post_message(nothing_there) != Status::ok) return 1;
    port.receive().release();
    receive_port_stream(port, [](std::span<const std::byte>) {});
    return 0;
  });
  EXPECT_TRUE(sender().fails(1, "the receiver "));
}

TEST_P(TransferVerdict, IsEscapedBeforeATerminalSeesIt) {
  ChildProcess receiving([&] {
    Port port = listen("channel").accept();
    std::array<std::byte, 48> nothing_there{};
    std::memcpy(nothing_there.data(), "SLUICE\0P", 8);
    if (port.post_message(nothing_there) != Status::ok) return 1;
    port.receive().release();
    auto stream = create_port_stream(port);
    try {
      stream.receive([](std::span<const std::byte>) {
        throw std::runtime_error("\x1b]0;owned\x07\x1b[2J\nsluice: all is well\xc2\x9b\x31m\xe2\x80\xae");
      });
    } catch (const std::runtime_error&) {
    }
    return 0;
  });
  Command sending = sender();
  EXPECT_TRUE(sending.fails(
      1, R"(the receiver failed: \x1b]0;owned\x07\x1b[2J\x0asluice: all is well\xc2\x9b1m\xe2\x80\xae)"));
}

std::string kind_of_transfer(const ::testing::TestParamInfo<std::vector<std::string>>& options) {
  return options.param.empty() ? "OfOneRun" : "OfSeveralRuns";
}
INSTANTIATE_TEST_SUITE_P(InATransfer, TransferVerdict,
                         ::testing::Values(std::vector<std::string>{}, std::vector<std::string>{"--resume"}),
                         kind_of_transfer);

TEST_F(TransferTest, SaysThatAnotherProgramListensThere) {
  ChildProcess listening([&] {
    Port port = listen("channel").accept();
    if (port.post_message("good morning") != Status::ok) return 1;
    (void)port.wait_closed();
    return 0;
  });
  write_file(file("in"), "content");
  EXPECT_TRUE(send({"channel", file("in")}).fails(1, "the receiver is no sluice command"));
}

TEST_F(TransferTest, SaysThatASessionIsOfferedThere) {
  ChildProcess hosting([&] {
    Port port = host_session("channel");
    return 0;
  });
  write_file(file("in"), "content");
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(socket()); }));
  for (const std::string option : {"-q", "--resume"})
    EXPECT_TRUE(send({"channel", file("in"), option}).fails(1, "a session is offered here"));
}

}  // namespace
}  // namespace sluice::test
