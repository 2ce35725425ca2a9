// The sluice command's words: help, version, quantities, what is refused, and what is said when.
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

struct Outcome {
  int code = -1;
  std::string output;
  std::string errors;
};

class CommandLine : public TransferTest {
 protected:
  /// Runs it to its end.
  Outcome sluice(std::vector<std::string> words) {
    Pipe out;
    words.insert(words.begin(), "sluice");
    Command command(directory_, std::move(words), {}, out.write);
    out.write.reset();
    Outcome outcome;
    for (std::string part; !(part = read_from(out.read, 1000)).empty();) outcome.output += part;
    outcome.code = command.wait().code;
    outcome.errors = command.errors();
    return outcome;
  }
  void expect_refused(const std::vector<std::string>& words, const std::string& sentence) {
    const Outcome outcome = sluice(words);
    EXPECT_EQ(outcome.code, 2) << words.front();
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
    EXPECT_NE(outcome.errors.find(sentence), std::string::npos) << outcome.errors;
  }
  static std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }
  /// The subcommands that the command lists.
  std::vector<std::string> subcommands() {
    const std::vector<std::string> lines = lines_of(sluice({"--help"}).output);
    std::vector<std::string> names;
    for (auto line = std::find(lines.begin(), lines.end(), "Subcommands:") + 1; line->starts_with("  ");
         ++line)
      names.push_back(line->substr(2, line->find(' ', 2) - 2));
    return names;
  }
};

TEST_F(CommandLine, SaysItsVersion) {
  for (const std::string option : {"--version", "-V"}) {
    const Outcome outcome = sluice({option});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(outcome.output.starts_with("sluice ") && outcome.output.find('.') != std::string::npos)
        << outcome.output;
  }
}

TEST_F(CommandLine, NamesAnUnknownSubcommandAndThoseThereAre) {
  for (const std::string& known : subcommands()) expect_refused({"-v", "sned", "channel"}, known);
  expect_refused({"-v", "sned", "channel"}, "no subcommand \"sned\"");
  expect_refused({"two\nlines\x1b[2J"}, R"("two\x0alines\x1b[2J")");
  expect_refused({}, "subcommand");
}

TEST_F(CommandLine, HelpHasAnOptionALineWhichFitsAnOrdinaryTerminal) {
  std::vector<std::vector<std::string>> commands{{"--help"}};
  for (const std::string& name : subcommands()) commands.push_back({name, "-h"});
  ASSERT_GE(commands.size(), 3U);
  for (const auto& words : commands) {
    const Outcome help = sluice(words);
    EXPECT_EQ(help.code, 0);
    for (const std::string& line : lines_of(help.output)) {
      EXPECT_LE(line.size(), 100U) << line;
      const bool option = line.starts_with("  -");
      EXPECT_TRUE(!option || line.find("  ", 2) != std::string::npos) << "no description: " << line;
      EXPECT_FALSE(line.starts_with(std::string(28, ' '))) << "of the line before: " << line;
    }
    EXPECT_NE(help.output.find("Exit codes: 0 done, 1 failed"), std::string::npos) << help.output;
    EXPECT_EQ(help.output.find("Example:\n  ") != std::string::npos, words.size() == 2) << help.output;
  }
}

TEST_F(CommandLine, TakesSizesAndTimesWithASuffixAndPlainOnes) {
  write_file(file("in"), noise(10'000));
  for (const std::string block : {"4K", "4k", "4KiB", "4096", "1M"}) {
    SCOPED_TRACE(block);
    Command receiver = recv({"channel", "-o", file("result"), "-t", "1h"});
    EXPECT_TRUE(send({"channel", file("in"), "-b", block, "-t", "60"}).succeeds());
    EXPECT_TRUE(receiver.succeeds());
  }
  for (const std::string time : {"50ms", "0.05s", "0.05"}) {
    Command receiver = recv({"channel", "--timeout", time});
    EXPECT_TRUE(receiver.fails(1, "within 0.05 s")) << time;
  }
}

TEST_F(CommandLine, RefusesOtherSuffixesAndSaysWhichOption) {
  expect_refused({"send", "channel", "--block", "4X"}, "--block");
  expect_refused({"send", "channel", "-b", "257M"}, "--block");
  expect_refused({"send", "channel", "-t", "5 parsecs"}, "--timeout");
  expect_refused({"recv", "channel", "-r", "-w", "2K"}, "--resume-window");
  expect_refused({"recv", "channel", "--nonsense"}, "--nonsense");
}

TEST_F(CommandLine, SaysWhatIsGoingOnWithVerboseOnly) {
  write_file(file("in"), noise(3'000'000));
  Command receiver = recv({"-v", "channel", "-o", file("result")});
  Command sender = run("-v", {"send", "channel", file("in")}, {}, {});  // before the subcommand, too
  for (Command* side : {&receiver, &sender}) {
    EXPECT_TRUE(side->wait().ok());
    EXPECT_NE(side->errors().find("sluice: waiting for a "), std::string::npos) << side->errors();
    EXPECT_NE(side->errors().find("2.9 MiB"), std::string::npos) << side->errors();
    EXPECT_NE(side->errors().find("/s  in "), std::string::npos) << side->errors();
  }
}

TEST_F(CommandLine, SaysNothingButErrorsWhenQuiet) {
  write_file(file("in"), noise(3'000'000));
  // Without -q, a resumed transfer says so.
  Command receiver = recv({"-q", "-r", "channel", "-o", file("result")});
  {
    Command first = send({"-q", "-r", "channel", file("in"), "-b", "16"});
    ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(file(".result.sluice-part")); }));
    first.signal(SIGKILL);
    first.wait();
  }
  EXPECT_TRUE(send({"-q", "-r", "channel", file("in"), "-b", "16"}).succeeds());
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_TRUE(recv({"-q", "channel", "-t", "10ms"}).fails(1, "no sender came"));
  expect_refused({"recv", "channel", "-q", "-v"}, "--quiet");
}

TEST_F(CommandLine, AFailureIsOneLineThatATerminalDoesntObey) {
  EXPECT_TRUE(send({"channel", file("no\nfile\x1b[2J\xc2\x9b")}).fails(1, R"(no\x0afile\x1b[2J)"));
  EXPECT_TRUE(send({"channel", file("\x9b\xe2\x80\xaegpj.exe")}).fails(1, R"(\x9b\xe2\x80\xaegpj.exe)"));
  const Outcome outcome = sluice({"send", "channel", "--block", "4\nX\x1b"});
  EXPECT_EQ(outcome.errors.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
}

}  // namespace
}  // namespace sluice::test
