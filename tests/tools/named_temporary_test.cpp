// sluice recv on a file system that has no nameless files: the new file has a temporary name, which must go.
#include "nameless_files.hpp"
#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

class NamedTemporaryTest : public TransferTest {
 protected:
  NamedTemporaryTest() { write_file(output_, "old"); }

  Command recv_without_nameless_files() const {
    return {directory_, {"sluice", "recv", "channel", "--output", output_}, {}, {}, refuse_nameless_files};
  }
  /// The receiver has taken something and holds it under a temporary name.
  void start(const Pipe& in) const {
    write_to(in.write, noise(100'000));
    ASSERT_TRUE(comes_true([&] { return is_drained(in) && files_in(output_.parent_path()) == 2; }));
  }
  void expect_only(const std::string& content) const {
    EXPECT_EQ(read_file(output_), content);
    EXPECT_EQ(files_in(output_.parent_path()), 1U);
  }

  std::filesystem::path output_ = output_directory() / "result";
};

TEST_F(NamedTemporaryTest, BecomesTheOutputWhenComplete) {
  write_file(file("in"), "new");
  Command receiver = recv_without_nameless_files();
  Command sender = send({"channel", file("in")});
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(receiver.succeeds());
  expect_only("new");
}

TEST_F(NamedTemporaryTest, GoesWhenTheSenderDies) {
  Pipe in;
  Command receiver = recv_without_nameless_files();
  Command sender = send({"channel"}, in.read);
  start(in);
  sender.signal(SIGKILL);
  EXPECT_TRUE(receiver.fails(1, "the sender died"));
  expect_only("old");
}

TEST_F(NamedTemporaryTest, GoesWhenASignalEndsTheReceiver) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    SCOPED_TRACE(number);
    Pipe in;
    Command receiver = recv_without_nameless_files();
    Command sender = send({"channel"}, in.read);
    start(in);
    receiver.signal(number);
    EXPECT_EQ(receiver.wait().signal, number);
    EXPECT_TRUE(sender.fails(1, "the receiver died"));
    expect_only("old");
  }
}

}  // namespace
}  // namespace sluice::test
