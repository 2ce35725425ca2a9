// sluice send --json and recv --json: lines of JSON at both ends, msgpack messages between.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sluice/codec/decoder.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

/// A line of JSON: a string of so many letters.
std::string text_of(std::size_t letters) {
  std::string line(letters + 2, 'x');
  line.front() = line.back() = '"';
  return line;
}

class JsonTransfer : public TransferTest {
 protected:
  std::string received() const { return read_file(file("out")); }
  Command receiver() { return recv({"--json", "channel", "--output", file("out")}); }
  Command sender(const std::string& lines, std::vector<std::string> words = {}) {
    write_file(file("in"), lines);
    words.insert(words.end(), {"--json", "channel", file("in")});
    return send(words);
  }
};

TEST_F(JsonTransfer, GivesTheLinesThatWereSent) {
  const std::string lines =
      "{\"name\":\"Ada\",\"cents\":1250}\n[1,2.5,null,true,\"\xc3\xa4\"]\n{\"$binary\":\"AAH/\"}\n\"last\"\n";
  Command receiving = receiver();
  EXPECT_TRUE(sender(lines).succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(),
            "{\"cents\":1250,\"name\":\"Ada\"}\n[1,2.5,null,true,\"\xc3\xa4\"]\n{\"$binary\":\"AAH/"
            "\"}\n\"last\"\n");
}

TEST_F(JsonTransfer, PassesOverBlankLinesAndTakesALastOneWithoutAnEnd) {
  Command receiving = receiver();
  EXPECT_TRUE(sender("\n  \r\n1\r\n\t\n \"two\" \n3").succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(), "1\n\"two\"\n3\n");
}

TEST_F(JsonTransfer, OfNothingIsNothing) {
  Command receiving = receiver();
  EXPECT_TRUE(sender("").succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(), "");
}

TEST_F(JsonTransfer, DeliversEachLineAsItComes) {
  Pipe input;
  Pipe output;
  Command receiving = recv({"--json", "channel"}, output.write);
  Command sending = send({"--json", "channel"}, input.read);
  output.write.reset();
  input.read.reset();
  for (int i = 0; i < 20; ++i) {
    const std::string line = "{\"i\":" + std::to_string(i) + "}\n";
    write_to(input.write, line.substr(0, 3));
    write_to(input.write, line.substr(3));
    ASSERT_EQ(read_from(output.read, line.size()), line);
  }
  write_to(input.write, "1\n2\n3\n4");
  ASSERT_EQ(read_from(output.read, 6), "1\n2\n3\n");
  input.write.reset();
  EXPECT_EQ(read_from(output.read, 100), "4\n");
  EXPECT_TRUE(sending.succeeds());
  EXPECT_TRUE(receiving.succeeds());
}

TEST_F(JsonTransfer, CarriesManyLinesOfAllLengths) {
  std::string lines;
  for (std::size_t i = 0; i < 5000; ++i) lines.append(text_of(i * 37 % 1500)) += '\n';
  lines.append(text_of(300'000)) += '\n';
  Command receiving = receiver();
  EXPECT_TRUE(sender(lines).succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_TRUE(received() == lines);
}

TEST_F(JsonTransfer, FailsAtALineThatIsNoJson) {
  Command receiving = receiver();
  EXPECT_TRUE(sender("1\n\n{\"a\":\n3\n").fails(1, "line 3 of " + file("in") + ": at byte "));
  EXPECT_TRUE(receiving.fails(1, "the sender failed: line 3 of "));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_F(JsonTransfer, SkipsBadLinesIfAskedAndTellsEach) {
  Command receiving = receiver();
  Command sending = sender("1\nnonsense\n{\"a\":1,\"a\":2}\n\x1b[2J\n5", {"--bad-lines", "skip"});
  EXPECT_EQ(sending.wait().code, 0);
  const std::string said = sending.errors();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 3) << said;
  for (const std::string words : {"line 2 of ", "line 3 of ", "comes twice", "line 4 of ", "; skipped"})
    EXPECT_NE(said.find(words), std::string::npos) << words << " in " << said;
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(), "1\n5\n");
}

TEST_F(JsonTransfer, BoundsALineAndItsMessage) {
  const std::string fits = std::string(1023, ' ') + "1";
  const std::string longer = std::string(1024, ' ') + "1";
  std::string swells = "[1e9";
  while (swells.size() < 1000) swells += ",1e9";
  swells += "]";
  Command receiving = receiver();
  const std::string lines =
      fits + "\n" + longer + "\n" + std::string(3'000'000, 'z') + "\n" + swells + "\n4\n" + longer;
  Command sending = sender(lines, {"--block", "1K", "--bad-lines", "skip"});
  EXPECT_EQ(sending.wait().code, 0);
  const std::string said = sending.errors();
  for (const std::string words : {"line 2 of ", "line 3 of ", "line 6 of "})
    EXPECT_NE(said.find(words), std::string::npos) << words << " in " << said;
  EXPECT_NE(said.find("more than 1024 bytes; skipped"), std::string::npos) << said;
  EXPECT_NE(said.find(": a message of "), std::string::npos) << said;
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(), "1\n4\n");
}

TEST_F(JsonTransfer, KeepsNoMoreOfALineThanItsBound) {
  Pipe input;
  Command receiving = receiver();
  Command sending = send({"--json", "channel", "--bad-lines", "skip", "--block", "64K"}, input.read);
  input.read.reset();
  const std::string piece(1U << 20U, 'x');
  for (int i = 0; i < 200; ++i) write_to(input.write, piece);
  const std::string status = read_file("/proc/" + std::to_string(sending.pid()) + "/status");
  const std::size_t rss = status.find("VmHWM:");
  ASSERT_NE(rss, std::string::npos);
  EXPECT_LT(std::stol(status.substr(rss + 6)), 100'000) << "KiB, for a line of 200 MiB";
  write_to(input.write, "\n7\n");
  input.write.reset();
  EXPECT_EQ(sending.wait().code, 0);
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(), "7\n");
}

TEST_F(JsonTransfer, FailsAtAMessageThatIsNoMsgpack) {
  write_file(file("in"), "two values: \xc1");
  Command receiving = receiver();
  EXPECT_TRUE(send({"channel", file("in")}).fails(1, "the receiver failed: message 1 is no msgpack value"));
  EXPECT_TRUE(receiving.fails(1, "message 1 is no msgpack value"));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_F(JsonTransfer, ToAPlainReceiverIsMsgpackOneValueBehindTheOther) {
  Command receiving = recv({"channel", "--output", file("out")});
  EXPECT_TRUE(sender("[1]\n\"a\"\n").succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(received(),
            "\x91\x01\xa1"
            "a");
}

TEST_F(JsonTransfer, GivesAProgramAMessageALine) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  write_file(file("in"), "{\"a\":1}\n[2,3]\n");
  Command sending(directory_, {"sluice", "send", "--json", "--stdio", "--unconfirmed", file("in")}, theirs,
                  theirs);
  theirs.reset();
  auto stream = create_port_stream(wrap_native_port(std::move(ours)));
  std::vector<std::vector<int>> values;
  stream.receive([&](std::span<const std::byte> block) {
    if (values.empty()) {
      const auto first = codec::decode<std::map<std::string, int>>(block);
      values.push_back({first.at("a")});
    } else {
      values.push_back(codec::decode<std::vector<int>>(block));
    }
  });
  EXPECT_EQ(values, (std::vector<std::vector<int>>{{1}, {2, 3}}));
  EXPECT_TRUE(sending.succeeds());
}

TEST_F(JsonTransfer, FailsOnBothSidesWhenTheOutputCanNotBeStored) {
  Command receiving = recv({"--json", "channel", "--output", "/dev/full"});
  EXPECT_TRUE(sender("1\n").fails(1, "No space left on device"));
  EXPECT_TRUE(receiving.fails(1, "No space left on device"));
}

TEST_F(JsonTransfer, EndsWhenTheReceiverIsKilledWhileTheInputIsSilent) {
  Pipe input;
  Pipe output;
  Command receiving = recv({"--json", "channel"}, output.write);
  Command sending = send({"--json", "channel"}, input.read);
  write_to(input.write, "1\n");
  ASSERT_EQ(read_from(output.read, 2), "1\n");
  receiving.signal(SIGKILL);
  EXPECT_TRUE(sending.fails(1, "the receiver "));
}

TEST_F(JsonTransfer, EndsWhenTheSenderIsInterrupted) {
  Pipe input;
  Command receiving = receiver();
  Command sending = send({"--json", "channel"}, input.read);
  write_to(input.write, "1\n");
  ASSERT_TRUE(comes_true([&] { return is_drained(input); }));
  sending.signal(SIGINT);
  EXPECT_EQ(sending.wait().signal, SIGINT);
  EXPECT_TRUE(receiving.fails(1, "the sender "));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_F(JsonTransfer, IsAsciiOnATerminal) {
  const Descriptor terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal || ::grantpt(terminal.get()) != 0 || ::unlockpt(terminal.get()) != 0)
    GTEST_SKIP() << "no pseudo-terminals here";
  std::array<char, 64> name{};
  ASSERT_EQ(::ptsname_r(terminal.get(), name.data(), name.size()), 0);
  const Descriptor screen(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  Command receiving = recv({"--json", "channel"}, screen);
  EXPECT_TRUE(sender("\"\xc2\x9b\"\n").succeeds());
  EXPECT_TRUE(receiving.succeeds());
  EXPECT_EQ(read_from(terminal, 10), "\"\\u009b\"\r\n");
}

TEST_F(JsonTransfer, RefusesOptionsThatDoNotGoTogether) {
  EXPECT_TRUE(send({"--json", "--resume", "channel", "in"}).fails(2, "--resume"));
  EXPECT_TRUE(recv({"--json", "--resume", "channel"}).fails(2, "--resume"));
  EXPECT_TRUE(send({"--bad-lines", "skip", "channel"}).fails(2, "--json"));
  EXPECT_TRUE(send({"--json", "--bad-lines", "perhaps", "channel"}).fails(2, "--bad-lines"));
}

}  // namespace
}  // namespace sluice::test
