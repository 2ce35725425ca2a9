// The samples of one idea each, as their banners tell a user to run them.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>

#include "command.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

class Samples : public ::testing::Test {
 protected:
  Samples() { ::setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1); }

  Command start(std::vector<std::string> words, const std::string& output) const {
    return {
        directory_, std::move(words), {}, open_file(directory_.file(output), O_CREAT | O_WRONLY | O_TRUNC)};
  }
  /// Runs to the end; what it printed.
  std::string run(std::vector<std::string> words) const {
    Command command = start(std::move(words), "output");
    EXPECT_TRUE(command.succeeds());
    return said("output");
  }
  std::string said(const std::string& output) const { return read_file(directory_.file(output)); }
  std::string path(const std::string& name) const { return directory_.file(name).string(); }

  TempDirectory directory_;
  Watchdog watchdog_{std::chrono::seconds(100), "the samples"};
};

TEST_F(Samples, ClaimCommitShowsEveryFrame) {
  Command reader = start({"claim_commit", "read"}, "read");
  run({"claim_commit", "write"});
  EXPECT_TRUE(reader.succeeds());
  EXPECT_EQ(said("read"), "1000 frames of 640 x 480, brightest point 255\n");
}

TEST_F(Samples, BatchDeliversEveryTick) {
  Command reader = start({"batch", "read"}, "read");
  run({"batch", "write"});
  EXPECT_TRUE(reader.succeeds());
  EXPECT_EQ(said("read"), "100000 ticks in 1000 batches, the last price 199.99\n");
}

#ifdef SLUICE_CODEC
TEST_F(Samples, TypedMessagesGoBothWays) {
  Command shop = start({"typed_messages", "shop"}, "shop");
  EXPECT_EQ(run({"typed_messages", "order"}), "accepted as number 1\n");
  EXPECT_TRUE(shop.succeeds());
  EXPECT_EQ(said("shop"), "Ada ordered 2 things for 17.50\n");
}
#endif

#ifdef SLUICE_CODEC
TEST_F(Samples, CallsGoBothWaysOverOnePort) {
  Command server = start({"calls", "serve"}, "serve");
  EXPECT_EQ(run({"calls", "call"}), "5 words\nthe server: text \"\" has no words\n");
  EXPECT_TRUE(server.succeeds());
  EXPECT_EQ(said("serve"), "served 2 calls\n");
}

TEST_F(Samples, TheSensorSendsWhatItsObserversWant) {
  Command sensor = start({"sensor", "measure", "1"}, "measure");
  Command alarm = start({"sensor", "alarm"}, "alarm");
  const std::string watched = run({"sensor", "watch"});
  EXPECT_TRUE(alarm.succeeds());
  EXPECT_TRUE(sensor.succeeds());
  EXPECT_TRUE(watched.ends_with(" of 1000 values, the last one 21.0\n")) << watched;
  EXPECT_EQ(said("alarm"), "31.0 degrees\n2 alarms\n");
}
#endif

#if defined(SLUICE_CODEC) && defined(SLUICE_CRYPTO)
TEST_F(Samples, TodosSurviveAKilledServer) {
  const auto serve = [&] { return start({"todos", "serve", directory_.path().string()}, "serve"); };
  const auto wait_until_said = [&](const std::string& output, const std::string& text) {
    while (said(output).find(text) == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  std::unique_ptr<Command> server(new Command(serve()));
  EXPECT_EQ(run({"todos", "add", "buy milk"}), "1 to do\n");
  Command watch = start({"todos", "watch"}, "watch");
  Command urgent = start({"todos", "urgent"}, "urgent");
  wait_until_said("watch", "1 to do: 1. buy milk\n");
  wait_until_said("urgent", "1 to do: 1. buy milk\n");
  EXPECT_EQ(run({"todos", "done", "1"}), "0 to do\n");
  EXPECT_EQ(run({"todos", "add", "write a letter"}), "1 to do\n");
  wait_until_said("watch", "0 to do:\n1 to do: 2. write a letter\n");
  wait_until_said("urgent", "1 to do: 2. write a letter\n");
  EXPECT_EQ(said("urgent"), "1 to do: 1. buy milk\n1 to do: 2. write a letter\n");
  server->signal(SIGKILL);
  server.reset();
  EXPECT_TRUE(watch.succeeds());
  server.reset(new Command(serve()));
  EXPECT_EQ(run({"todos", "add", "post it"}), "2 to do\n");
  EXPECT_EQ(run({"todos", "done", "2"}), "1 to do\n");
}
#endif

TEST_F(Samples, PortStreamCopiesAFile) {
  const std::string content(3'000'001, 'x');
  write_file(path("file"), content);
  Command receiver = start({"port_stream", "receive", path("copy")}, "receive");
  EXPECT_EQ(run({"port_stream", "send", path("file")}), "sent 3000001 bytes, all of them consumed\n");
  EXPECT_TRUE(receiver.succeeds());
  EXPECT_TRUE(said("receive").starts_with("received 3000001 bytes in ")) << said("receive");
  EXPECT_TRUE(read_file(path("copy")) == content);
}

TEST_F(Samples, PortStreamTellsTheSenderThatTheReceiverFailed) {
  write_file(path("file"), std::string(3'000'001, 'x'));
  Command receiver = start({"port_stream", "receive", "/dev/full"}, "receive");
  Command sender = start({"port_stream", "send", path("file")}, "send");
  EXPECT_TRUE(sender.fails(1, "the consumer failed"));
  EXPECT_TRUE(receiver.fails(1, "can't write /dev/full"));
}

TEST_F(Samples, SurvivorsSumIsRightThoughItsWorkerIsKilled) {
  Command feeder = start({"survivor", "feed", "150"}, "feed");
  for (int kill = 1; kill <= 3; ++kill) {
    const Command worker = start({"survivor", "work"}, "work");
    EXPECT_TRUE(comes_true([&] { return feeder.errors().size() > 0; }));
    EXPECT_FALSE(worker.ended_within(std::chrono::milliseconds(200)));
    worker.signal(SIGKILL);
    EXPECT_TRUE(comes_true([&] {
      const std::string events = feeder.errors();
      std::size_t seen = 0;
      for (auto at = events.find("waiting for peer"); at != std::string::npos;
           at = events.find("waiting for peer", at + 1))
        ++seen;
      return seen == static_cast<std::size_t>(kill);
    })) << feeder.errors();
  }
  Command last = start({"survivor", "work"}, "work");
  EXPECT_TRUE(feeder.wait().ok());
  EXPECT_TRUE(last.succeeds());
  EXPECT_EQ(said("feed"), "sum of 1 to 150: 11325, expected 11325\n");
}

#ifdef SLUICE_CRYPTO
TEST_F(Samples, JournalReadsWhatWasAdded) {
  run({"sluice", "keygen", path("key")});
  EXPECT_EQ(run({"journal", path("key"), path("records"), "add", "first", "second"}), "");
  EXPECT_EQ(run({"journal", path("key"), path("records"), "add", "third"}), "");
  EXPECT_EQ(run({"journal", path("key"), path("records"), "read", "1"}), "1: first\n2: second\n3: third\n");
  EXPECT_EQ(run({"journal", path("key"), path("records"), "read", "3"}), "3: third\n");
}

TEST_F(Samples, SealedFileIsOpenedWholeInPartAndNotWhenChanged) {
  for (const std::size_t size : {0U, 1U, 100'000U}) {
    const std::string file = path("file" + std::to_string(size));
    const std::string content(size, 'x');
    write_file(file, content);
    const std::string text = run({"sealed_file", file});
    EXPECT_NE(text.find(" for " + std::to_string(size) + " bytes\n"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("bytes, read in place\none bit changed: refused\n")) << text;
    EXPECT_TRUE(read_file(file + ".opened") == content);
    EXPECT_TRUE(read_file(file + ".sealed").find("xxxxxxxx") == std::string::npos);
  }
}
#endif

TEST_F(Samples, SayHowTheyAreUsed) {
  for (const std::string name : {"claim_commit", "batch", "port_stream", "survivor"}) {
    EXPECT_TRUE(start({name}, "output").fails(2, "usage: " + name)) << name;
  }
}

TEST_F(Samples, AreShortAndSayWhatToExpect) {
  int samples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() + "/samples")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = read_file(entry.path());
    EXPECT_LT(std::ranges::count(text, '\n'), 120) << entry.path();
    EXPECT_TRUE(text.starts_with("// ")) << entry.path();
    EXPECT_NE(text.find("//   build/release/bin/" + entry.path().stem().string()), std::string::npos)
        << entry.path();
    EXPECT_NE(text.find("expected output:"), std::string::npos) << entry.path();
    ++samples;
  }
  EXPECT_GE(samples, 7);
}

}  // namespace
}  // namespace sluice::test
