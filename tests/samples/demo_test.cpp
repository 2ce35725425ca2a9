// The demo as a user runs it.
#include <cstdlib>
#include <iterator>
#include <string>

#include "command.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

class Demo : public ::testing::Test {
 protected:
  Demo() { ::setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1); }

  Command run(std::vector<std::string> words) const {
    words.insert(words.begin(), "demo");
    return {directory_, std::move(words), {}, open_file(output(), O_CREAT | O_WRONLY | O_TRUNC)};
  }
  std::filesystem::path output() const { return directory_.file("output"); }

  /// The process that the demo forked, or 0 where there's none yet.
  static pid_t worker_of(const Command& demo) {
    const std::string pid = std::to_string(demo.pid());
    const std::string children = read_file("/proc/" + pid + "/task/" + pid + "/children");
    return children.empty() ? 0 : static_cast<pid_t>(std::stoi(children));
  }

  TempDirectory directory_;
  Watchdog watchdog_{std::chrono::seconds(100), "the demo"};
};

TEST_F(Demo, StreamsAFileAndTellsItsSha256) {
  write_file(directory_.file("in"), "abc");
  Command demo = run({directory_.file("in"), "--seconds", "0.02"});
  EXPECT_TRUE(demo.succeeds());
  const std::string text = read_file(output());
  EXPECT_NE(text.find("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), std::string::npos)
      << text;
  for (const char* const word : {"throughput", "p50", "p99.9", "max", "equal: "}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
  }
  EXPECT_EQ(text.find('\r'), std::string::npos) << "a live line, though this is no terminal";
}

TEST_F(Demo, KillsItsWorkerAndLosesNothing) {
  const std::string content(1'000'000, 'x');
  write_file(directory_.file("in"), content);
  EXPECT_TRUE(run({directory_.file("in"), "--seconds", "0"}).succeeds());
  const std::string text = read_file(output());
  const auto count = [&](const std::string& words) {
    int found = 0;
    for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("kill -9 of worker "), 2) << text;
  EXPECT_EQ(count(" ms after the kill: waiting for peer\n"), 2) << text;
  EXPECT_EQ(count(" ms after the kill: resumed\n"), 2) << text;
  EXPECT_EQ(count(" messages come (again), from message "), 2) << text;
  EXPECT_EQ(count("sent and come back in order, each once, through 2 kills\n"), 1) << text;
  // The checksum of both parts.
  const auto at = text.find("sha256  ");
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_EQ(count(text.substr(at, 8 + 64)), 2) << text;
}

TEST_F(Demo, StreamsSizesAroundItsRecords) {
  for (const std::size_t size : {1U, 1023U, 1024U, 1025U, 65'536U, 65'537U}) {
    SCOPED_TRACE(size);
    write_file(directory_.file("in"), std::string(size, 'x'));
    EXPECT_TRUE(run({directory_.file("in"), "--seconds", "0"}).succeeds());
  }
}

TEST_F(Demo, SaysHowItsWorkerDied) {
  Command demo = run({"--seconds", "10"});
  ASSERT_TRUE(comes_true([&] { return read_file(output()).find("from process") != std::string::npos; }));
  ASSERT_EQ(::kill(worker_of(demo), SIGKILL), 0);
  EXPECT_TRUE(demo.fails(1, "peer died (killed by signal 9)"));
}

TEST_F(Demo, RefusesWhatItCantStream) {
  EXPECT_TRUE(run({directory_.file("missing")}).fails(1, "No such file"));
  EXPECT_TRUE(run({directory_.path()}).fails(1, "Is a directory"));
  EXPECT_TRUE(run({"/dev/null"}).fails(1, "is empty"));
}

}  // namespace
}  // namespace sluice::test
