// sluice send and recv over standard input and output, also with an endpoint of the published protocol in
// another language.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "places.hpp"
#include "temp_directory.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

class StreamTransfer : public ::testing::Test {
 protected:
  StreamTransfer() { std::ofstream(in_, std::ios::binary) << content_; }

  /// Runs a shell script in which $sluice, $python, $in, $out, $dir are set; its exit code.
  int shell(const std::string& script) const {
    const std::string all =
        "sluice='" + sluice::test::bin_dir() + "/sluice'; python='python3 " + sluice::test::source_dir() +
        "/tests/ipc/stream/published_endpoint.py'; dir='" + directory_.path().string() +
        "'; trap 'kill $(jobs -p) 2> /dev/null' EXIT; in=$dir/in; out=$dir/out; cd $dir; set -o pipefail\n" +
        "join() { rm -f back; mkfifo back; eval \"$1\" < back | eval \"$2\" > back; }\n" + script;
    std::ofstream(directory_.file("script")) << all;
    const int status = std::system(("bash '" + directory_.file("script").string() + "'").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(directory_.file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool arrived() const { return read("out") == content_; }

  TempDirectory directory_;
  std::filesystem::path in_ = directory_.file("in");
  std::string content_ = [] {
    std::string text;
    for (int i = 0; i < 60'000; ++i) text += std::to_string(i * 7919) + "\n";
    return text;
  }();
  Watchdog watchdog_{std::chrono::seconds(60), "a stream of the command"};
};

TEST_F(StreamTransfer, GoesOverStandardInputAndOutput) {
  EXPECT_EQ(shell("join '$sluice send --stdio --block 1000 $in' '$sluice recv --stdio --output $out'"), 0);
  EXPECT_TRUE(arrived());
}

TEST_F(StreamTransfer, GoesToAForeignReceiver) {
  EXPECT_EQ(shell("join '$sluice send --stdio --unconfirmed --block 5000 $in' '$python recv $out'"), 0);
  EXPECT_TRUE(arrived());
}

TEST_F(StreamTransfer, ComesFromAForeignSender) {
  EXPECT_EQ(shell("join '$python send --block 777 $in' '$sluice recv --stdio --output $out'"), 0);
  EXPECT_TRUE(arrived());
}

TEST_F(StreamTransfer, SaysInOneLineWhyItEndedEarly) {
  EXPECT_EQ(shell("rm -f back; mkfifo back; $sluice send --stdio --block 500 $in < back 2> error | "
                  "$python recv --stop-after 3 $out > back 2> /dev/null; exit ${PIPESTATUS[0]}"),
            1);
  const std::string line = read("error");
  EXPECT_NE(line.find("Receiver closed the stream"), std::string::npos) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
}

TEST_F(StreamTransfer, FailsForTheSenderWhenTheOutputCannotBeStored) {
  EXPECT_EQ(
      shell("mkdir sub; rm -f back; mkfifo back slow; (cat $in; rm -rf sub) > slow & "
            "$sluice send --stdio slow < back 2> error | "
            "$sluice recv --stdio --output sub/out > back 2> recv_error; echo ${PIPESTATUS[@]} > codes"),
      0);
  EXPECT_EQ(read("codes"), "1 1\n");
  EXPECT_NE(read("error").find("the receiver failed: "), std::string::npos) << read("error");
  EXPECT_NE(read("error").find("sub/out"), std::string::npos) << read("error");
}

TEST_F(StreamTransfer, FailsForASenderThatWaitsForItsInputWhenTheReceiverLeaves) {
  EXPECT_EQ(shell("rm -f back; mkfifo back silent; (cat $in; sleep 300) > silent & "
                  "$sluice send --stdio --block 500 silent < back 2> error | "
                  "$python recv --stop-after 3 $out > back 2> /dev/null; exit ${PIPESTATUS[0]}"),
            1);
  EXPECT_NE(read("error").find("Receiver closed the stream"), std::string::npos) << read("error");
}

TEST_F(StreamTransfer, FailsForTheSenderWhenTheReceiverEndsWithoutAVerdict) {
  EXPECT_EQ(
      shell("rm -f back; mkfifo back; $sluice send --stdio $in < back 2> error | $python recv $out > back; "
            "exit ${PIPESTATUS[0]}"),
      1);
  EXPECT_NE(read("error").find("the receiver gave up"), std::string::npos) << read("error");
}

TEST_F(StreamTransfer, LeavesNoOutputWhenTheSenderIsCutOff) {
  EXPECT_EQ(
      shell("printf '\\007\\000\\000\\000\\000\\000\\000\\000\\000ab' | $sluice recv --stdio --output $out "
            "> answer 2> error; exit ${PIPESTATUS[1]}"),
      1);
  EXPECT_FALSE(std::filesystem::exists(directory_.file("out")));
  EXPECT_NE(read("error").find("the sender gave up"), std::string::npos) << read("error");
}

TEST_F(StreamTransfer, NeedsAFileWhereStandardInputIsTheChannel) {
  EXPECT_NE(shell("$sluice send --stdio < /dev/null 2> error"), 0);
  EXPECT_NE(read("error").find("FILE"), std::string::npos) << read("error");
  EXPECT_NE(shell("$sluice recv --stdio < /dev/null 2> error"), 0);
  EXPECT_NE(read("error").find("--output FILE"), std::string::npos) << read("error");
}

}  // namespace
}  // namespace sluice::test
