// sluice send and sluice recv of two users.
#include <sys/stat.h>

#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

constexpr uid_t kNobody = 65534;

class OtherUserTest : public TransferTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
    ::chmod(directory_.path().c_str(), 01777);  // what a command says goes to a file here
    write_file(file("in"), "content");
    ::chmod(file("in").c_str(), 0644);
  }
  Command as_nobody(std::vector<std::string> words) {
    words.insert(words.begin(), "sluice");
    return {directory_, std::move(words), {}, {}, [] {
              if (::setresgid(kNobody, kNobody, kNobody) != 0 || ::setresuid(kNobody, kNobody, kNobody) != 0)
                std::_Exit(126);
            }};
  }
  /// Before that the socket has no permissions for others, and a sender would give up.
  void wait_until_it_is_open() const {
    struct stat info {};
    ASSERT_TRUE(
        comes_true([&] { return ::stat(channel().c_str(), &info) == 0 && (info.st_mode & 0002U) != 0; }));
  }
  std::string channel() const { return file("channel"); }
};

TEST_F(OtherUserTest, MaySendIfTheReceiverAllowsThemByNameOrNumber) {
  for (const std::string user : {"nobody", "65534"}) {
    SCOPED_TRACE(user);
    Command receiver =
        recv({channel(), "--allow-user", "daemon", "--allow-user", user, "-o", file("result")});
    wait_until_it_is_open();
    Command sender = as_nobody({"send", channel(), file("in"), "--listener-user", "root"});
    EXPECT_TRUE(sender.succeeds());
    EXPECT_TRUE(receiver.succeeds());
    EXPECT_EQ(read_file(file("result")), "content");
    std::filesystem::remove(file("result"));
  }
}

TEST_F(OtherUserTest, AreAllowedBesideTheReceiversOwnUser) {
  Command receiver = recv({channel(), "--allow-user", "nobody", "-o", file("result")});
  EXPECT_TRUE(send({channel(), file("in")}).succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(OtherUserTest, MayResumeIfTheReceiverAllowsThem) {
  Command receiver = recv({"-r", channel(), "--allow-user", "nobody", "-o", file("result")});
  wait_until_it_is_open();
  Command sender = as_nobody({"send", "-r", channel(), file("in"), "--listener-user", "root"});
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(OtherUserTest, AreRefusedOtherwise) {
  Command receiver = recv({channel(), "--allow-user", "daemon", "-o", file("result"), "-t", "30"});
  wait_until_it_is_open();
  EXPECT_TRUE(
      as_nobody({"send", channel(), file("in"), "--listener-user", "root", "-t", "5"}).fails(1, "refused"));
  // Nor does a sender talk to a receiver of another user than it was told.
  EXPECT_TRUE(as_nobody({"send", channel(), file("in"), "-t", "5"}).fails(1, "user"));
  EXPECT_TRUE(send({channel(), file("in")}).succeeds());
  EXPECT_TRUE(receiver.succeeds());
}

TEST_F(TransferTest, AnotherUserMustExistAndCanReachAPathOnly) {
  EXPECT_TRUE(recv({file("channel"), "--allow-user", "no such user"}).fails(2, "--allow-user"));
  EXPECT_TRUE(recv({file("channel"), "--allow-user", "4294967295"}).fails(2, "--allow-user"));
  EXPECT_TRUE(send({file("channel"), "--listener-user", "-1"}).fails(2, "--listener-user"));
  const std::string other = std::to_string(::geteuid() + 1);
  EXPECT_TRUE(recv({"channel", "--allow-user", other}).fails(2, "must be a path"));
  EXPECT_TRUE(send({"channel", "--listener-user", other}).fails(2, "must be a path"));
  EXPECT_TRUE(recv({"--stdio", "--allow-user", other}).fails(2, "--allow-user"));
}

}  // namespace
}  // namespace sluice::test
