// sluice call and sluice observe, against a program that serves an actor.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "command.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

struct Machine {
  double temperature = 20.5;
  std::vector<std::string> alarms{};
  MSGPACK_DEFINE_MAP(temperature, alarms)
};

/// Serves until it is destroyed.
class Server {
 public:
  Server() {
    registry_.actor("machine")
        .state("state", state)
        .method("add", [](int a, int b) { return a + b; })
        .method("echo", [](const codec::AnyValue& value) { return value; })
        .method("fail", []() -> int { throw std::runtime_error("out \x1b[2J of order"); })
        .method("note", [this](const std::string& text) { noted = text; });
    accepting_ = std::jthread([this] { accept(); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    listener_.close();
    accepting_.join();
  }

  codec::ObservableState<Machine> state;
  std::string noted;

 private:
  void accept() {
    for (std::error_code closed;;) {
      Port port = listener_.accept(closed);
      if (closed) return;
      peers_.emplace_back(std::move(port), codec::PeerOptions{.registry = &registry_});
      peers_.back().start();
    }
  }

  codec::Registry registry_;
  Listener listener_ = listen("server");
  std::list<codec::Peer> peers_;
  std::jthread accepting_;
};

class PeerCommand : public ::testing::Test {
 protected:
  PeerCommand() {
    ::setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    server_ = std::make_unique<Server>();
  }

  Command start(std::vector<std::string> words) {
    words.insert(words.begin(), "sluice");
    return {
        directory_, std::move(words), {}, open_file(directory_.file("output"), O_CREAT | O_WRONLY | O_TRUNC)};
  }
  std::string output() const { return read_file(directory_.file("output")); }
  std::string run(std::vector<std::string> words) {
    EXPECT_TRUE(start(std::move(words)).succeeds());
    return output();
  }
  void wait_until_printed(const std::string& text) const {
    while (output().find(text) == std::string::npos) std::this_thread::sleep_for(1ms);
  }

  TempDirectory directory_;
  Watchdog watchdog_{100s, "peers on the command line"};
  std::unique_ptr<Server> server_;
};

TEST_F(PeerCommand, CallPrintsTheAnswer) {
  EXPECT_EQ(run({"call", "server", "machine", "add", "2", "3"}), "5\n");
  EXPECT_EQ(run({"call", "server", "machine", "echo", R"({"a":[1,2.5,null,"text"]})"}),
            "{\"a\":[1,2.5,null,\"text\"]}\n");
  EXPECT_EQ(run({"call", "server", "machine", "note", "\"hello\""}), "null\n");
  EXPECT_EQ(server_->noted, "hello");
  EXPECT_EQ(run({"call", "--one-way", "server", "machine", "note", "\"bye\""}), "");
  while (server_->noted != "bye") std::this_thread::sleep_for(1ms);
}

TEST_F(PeerCommand, CallSaysWhatWentWrong) {
  EXPECT_TRUE(start({"call", "server", "machine", "add", "2", "not json"}).fails(1, "argument 2: "));
  EXPECT_TRUE(start({"call", "server", "machine", "subtract"})
                  .fails(1, "no such method or state: \"machine\" \"subtract\""));
  EXPECT_TRUE(
      start({"call", "server", "machine", "add", "\"x\"", "1"}).fails(1, "bad arguments: argument 1 of 2"));
  EXPECT_TRUE(start({"call", "server", "machine", "fail"}).fails(1, "failed: out \\x1b[2J of order"));
  EXPECT_TRUE(start({"call", "-t", "10ms", "nobody", "machine", "add"}).fails(1, "nobody"));
}

TEST_F(PeerCommand, ObservePrintsALineForEachValue) {
  Command observe = start({"observe", "--count", "3", "server", "machine", "state"});
  wait_until_printed("20.5");
  server_->state = Machine{21.5, {"warm"}};
  wait_until_printed("warm");
  server_->state = Machine{22.5, {}};
  EXPECT_TRUE(observe.succeeds());
  EXPECT_EQ(output(),
            "{\"alarms\":[],\"temperature\":20.5}\n"
            "{\"alarms\":[\"warm\"],\"temperature\":21.5}\n"
            "{\"alarms\":[],\"temperature\":22.5}\n");
}

TEST_F(PeerCommand, ObserveTakesAFilterAndRefusesAnInvalidOne) {
  Command observe =
      start({"observe", "-n", "1", "--delta", "-f", "threshold value=60 field=temperature mode=crossing",
             "server", "machine", "state"});
  for (int temperature = 21; output().empty(); ++temperature) {
    server_->state = Machine{static_cast<double>(temperature), {}};
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(observe.succeeds());
  EXPECT_TRUE(start({"observe", "-f", "sometimes", "server", "machine", "state"}).fails(1, "sometimes"));
}

TEST_F(PeerCommand, ObserveGoesOnWhereItsLastRunEnded) {
  const std::vector<std::string> words{"observe", "-q",      "-q",   "-n", "1", "-r", directory_.file("seen"),
                                       "server",  "machine", "state"};
  EXPECT_EQ(run(words), "{\"alarms\":[],\"temperature\":20.5}\n");
  server_->state = Machine{21.5, {}};
  server_->state = Machine{22.5, {}};
  EXPECT_EQ(run(words), "{\"alarms\":[],\"temperature\":21.5}\n");
  EXPECT_EQ(run(words), "{\"alarms\":[],\"temperature\":22.5}\n");
  EXPECT_TRUE(start({"observe", "-r", directory_.file("seen"), "server", "machine", "other"})
                  .fails(1, "the checkpoint is that of \"machine\" \"state\""));
}

TEST_F(PeerCommand, ObserveSaysWhyItsStreamEnded) {
  EXPECT_TRUE(start({"observe", "server", "machine", "nothing"})
                  .fails(1, "no such method or state: \"machine\" \"nothing\""));
  Command observe = start({"observe", "server", "machine", "state"});
  wait_until_printed("20.5");
  server_.reset();
  EXPECT_FALSE(observe.succeeds());
}

}  // namespace
}  // namespace sluice::test
