// Peers against an endpoint that was written from docs/formats/frames.md alone, in Python, over pipes: each serves, and
// each calls and observes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "child_process.hpp"
#include "memory_journal.hpp"
#include "places.hpp"
#include "python.hpp"
#include "shelf.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::Observed;
using codec::Peer;
using codec::RemoteCode;
using codec::SlowPolicy;
using codec::StreamEnd;
using codec::StreamVerdict;
using codec::Verdict;

std::pair<Descriptor, Descriptor> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// endpoint.py, and our ends of the pipes to it.
class Endpoint {
 public:
  Endpoint(const std::string& scenario, std::size_t connections) {
    std::vector<std::pair<Descriptor, Descriptor>> theirs;
    for (std::size_t i = 0; i < connections; ++i) {
      auto [their_input, our_output] = make_pipe();
      auto [our_input, their_output] = make_pipe();
      theirs.emplace_back(std::move(their_input), std::move(their_output));
      ours_.emplace_back(std::move(our_input), std::move(our_output));
    }
    child_.emplace([&] {
      std::vector<std::string> words{"python3", "-B", test::source_dir() + "/tests/codec/endpoint.py",
                                     scenario};
      for (const auto& [input, output] : theirs) {
        words.push_back(std::to_string(input.get()) + "," + std::to_string(output.get()));
        ::fcntl(input.get(), F_SETFD, 0);
        ::fcntl(output.get(), F_SETFD, 0);
      }
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      ::execv("/usr/bin/python3", arguments.data());
      return 127;
    });
  }

  NativePort port(std::size_t connection) {
    auto& [input, output] = ours_.at(connection);
    return wrap_native_port(std::move(input), std::move(output));
  }
  /// Hangs up what wasn't used, and waits.
  void expect_success() {
    ours_.clear();
    const auto status = child_->wait_for(60s);
    ASSERT_TRUE(status) << "endpoint.py runs on";
    EXPECT_TRUE(status->ok()) << test::to_string(*status);
  }

 private:
  std::vector<std::pair<Descriptor, Descriptor>> ours_;
  std::optional<test::ChildProcess> child_;
};

class EndpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::python_has("msgpack")) GTEST_SKIP() << "no python3-msgpack in /usr/bin/python3";
  }

  const test::Watchdog watchdog_{120s, "an endpoint in Python"};
};

/// The endpoint's scenarios, each against peers that serve a shelf.
class AForeignClient : public EndpointTest {
 protected:
  void play(const std::string& scenario, std::size_t connections = 1) { play(shelf_, scenario, connections); }
  void play(test::Shelf& shelf, const std::string& scenario, std::size_t connections) {
    Endpoint endpoint(scenario, connections);
    for (std::size_t i = 0; i < connections; ++i) {
      peers_.push_back(std::make_unique<Peer>(endpoint.port(i), shelf.peer_options()));
      peers_.back()->start();
    }
    endpoint.expect_success();
  }

  test::Shelf shelf_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(AForeignClient, CallsAndSends) {
  play("calls");
  EXPECT_EQ(shelf_.notes(), std::vector<std::string>{"first"});
}

TEST_F(AForeignClient, GetsAnErrorForEachValueThatDoesNotFit) {
  play("answers_odd_values");
}

TEST_F(AForeignClient, CancelsACall) {
  play("cancels");
}

TEST_F(AForeignClient, ThatIsGoneHasGivenItsCallsUp) {
  play("leaves_a_call");
  EXPECT_EQ(peers_[0]->run(), Status::closed);
  peers_.clear();  // waits for the thread that does the rest
  EXPECT_EQ(shelf_.given_up(), 1U);
  EXPECT_EQ(shelf_.release("nobody"), 0U);
}

TEST_F(AForeignClient, ObservesUntilItUnsubscribes) {
  play("observes");
}

TEST_F(AForeignClient, ThatGrantsSlowlyGetsNoMoreThanItAllows) {
  play("grants_slowly");
}

TEST_F(AForeignClient, IsToldWhyAStreamIsRefused) {
  play("is_refused_streams");
}

TEST_F(AForeignClient, ResumesItsStreamWithEveryVerdict) {
  play("resumes", 5);
}

TEST_F(AForeignClient, ResumesItsStreamFromTheJournalOfItsState) {
  test::Shelf shelf({.retained_items = 4, .journal = std::make_shared<test::MemoryJournal>()});
  play(shelf, "resumes_from_a_journal", 3);
  peers_.clear();
}

TEST_F(AForeignClient, CanDoNothingToAnotherClientsStream) {
  play("is_foreign", 2);
}

TEST_F(AForeignClient, OfANewerMinorVersionIsServed) {
  play("is_newer");
}

TEST_F(AForeignClient, OfANewerMajorVersionIsRefusedWithBothVersions) {
  play("is_much_newer");
  EXPECT_EQ(peers_[0]->run(), Status::broken);
  EXPECT_NE(peers_[0]->failure_text().find("2.3"), std::string::npos) << peers_[0]->failure_text();
  EXPECT_NE(peers_[0]->failure_text().find("1.0"), std::string::npos) << peers_[0]->failure_text();
}

TEST_F(AForeignClient, OfThisVersionCannotMakeUpAKind) {
  play("makes_up_a_kind");
  EXPECT_EQ(peers_[0]->run(), Status::broken);
  EXPECT_EQ(peers_[0]->failure_text(), "a frame of the unknown kind 99");
}

TEST_F(AForeignClient, ThatSendsAMalformedFrameHarmsNoOtherPeerOfTheRegistry) {
  play("malforms", 64);
}

/// Peers that call and observe what endpoint.py serves. It serves one connection after the other.
class AForeignServer : public EndpointTest {
 protected:
  void serve(std::size_t connections, const std::string& scenario = "serve") {
    endpoint_.emplace(scenario, connections);
    connect();
  }
  void connect() {
    peer_.emplace(endpoint_->port(next_++),
                  codec::PeerOptions{.registry = &shelf_.registry, .client = client_});
  }
  void reconnect() {
    peer_.reset();
    connect();
  }
  void TearDown() override {
    peer_.reset();
    if (endpoint_) endpoint_->expect_success();
  }
  std::int64_t count_to(std::int64_t last) { return peer_->call<std::int64_t>("shelf", "count_to", last); }
  std::optional<RemoteCode> error_of(std::string_view actor, std::string_view method,
                                     const std::string& argument) {
    return peer_->call_async<std::int64_t>(actor, method, argument).outcome().remote_code();
  }
  Observed<std::int64_t> observe(SlowPolicy slow, std::uint64_t window) {
    return peer_->observe<std::int64_t>("shelf", "count", {.slow = slow, .window = window});
  }
  static std::vector<std::int64_t> take(Observed<std::int64_t>& stream, std::size_t count) {
    std::vector<std::int64_t> values;
    while (values.size() < count) {
      const std::int64_t* const value = stream.next_for(30s);
      if (value == nullptr) break;
      values.push_back(*value);
    }
    EXPECT_EQ(values.size(), count) << stream.failure_text();
    values.resize(count);
    return values;
  }

  test::Shelf shelf_;
  const codec::Id client_ = codec::random_id();
  std::optional<Endpoint> endpoint_;
  std::size_t next_ = 0;
  std::optional<Peer> peer_;
};

TEST_F(AForeignServer, AnswersCallsInAnyOrderAndWithErrors) {
  serve(1);
  auto kept = peer_->call_async<std::string>("shelf", "keep");
  std::vector<codec::Pending<std::int64_t>> pending;
  for (int i = 0; i < 500; ++i) pending.push_back(peer_->call_async<std::int64_t>("shelf", "add", i, i));
  for (int i = 499; i >= 0; --i) EXPECT_EQ(std::move(pending[static_cast<std::size_t>(i)]).get(), 2 * i);
  EXPECT_EQ(error_of("nobody", "add", "x"), RemoteCode::no_such_actor);
  EXPECT_EQ(error_of("shelf", "subtract", "x"), RemoteCode::no_such_member);
  EXPECT_EQ(error_of("shelf", "add", "x"), RemoteCode::bad_arguments);
  EXPECT_EQ(error_of("shelf", "fail", "x"), RemoteCode::failed);
  EXPECT_EQ(peer_->call<int>("shelf", "release", "later"), 1);
  EXPECT_EQ(std::move(kept).get(), "later");
  peer_->send("shelf", "note", "one way");
  peer_->send("nobody", "note", "lost");
  EXPECT_EQ(peer_->call<std::vector<std::string>>("shelf", "notes"), std::vector<std::string>{"one way"});
}

TEST_F(AForeignServer, IsToldOfACallThatIsCancelled) {
  serve(1);
  auto kept = peer_->call_async<std::string>("shelf", "keep");
  EXPECT_EQ(peer_->call<int>("shelf", "given_up"), 0);
  kept.cancel();
  EXPECT_EQ(peer_->call<int>("shelf", "given_up"), 1);
  EXPECT_EQ(peer_->call<int>("shelf", "release", "nobody"), 0);
}

TEST_F(AForeignServer, CallsBackOverTheSamePipes) {
  serve(1, "is_called");
  EXPECT_EQ(peer_->call<std::int64_t>("shelf", "add", 20, 30), 50);
  auto stream = observe(SlowPolicy::block, 4);
  count_to(20);
  EXPECT_EQ(take(stream, 21).back(), 20);
}

TEST_F(AForeignServer, StreamsEveryChangeAsTheCreditAllows) {
  serve(1);
  auto stream = observe(SlowPolicy::block, 3);
  EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{0});
  EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::started});
  EXPECT_EQ(count_to(50), 50);
  const auto values = take(stream, 50);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<std::int64_t>(i) + 1);
  EXPECT_EQ(stream.sequence(), 51U);
  stream.unsubscribe();
  count_to(60);
  EXPECT_EQ(stream.try_next(), nullptr);
}

TEST_F(AForeignServer, ConflatesForASlowObserver) {
  serve(1);
  auto stream = observe(SlowPolicy::conflate, 1);
  EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{0});
  count_to(50);  // the credit is that for one item, which has come, until the next is asked for
  EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{50});
  EXPECT_EQ(stream.sequence(), 2U);
}

TEST_F(AForeignServer, SaysWhyItRefusesAStream) {
  serve(1);
  auto stream = peer_->observe<std::int64_t>("shelf", "nothing");
  EXPECT_EQ(stream.next_for(30s), nullptr);
  EXPECT_EQ(stream.end_reason(), StreamEnd::error);
  EXPECT_EQ(stream.failure_text(), "no such method or state: shelf has no state nothing");
}

TEST_F(AForeignServer, CannotGiveAVerdictThatNobodyAskedFor) {
  serve(1, "repeats_a_verdict");
  auto stream = observe(SlowPolicy::block, 8);
  EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{0});
  EXPECT_EQ(stream.next_for(30s), nullptr);
  EXPECT_EQ(stream.status(), Status::broken);
  EXPECT_EQ(stream.failure_text(), "a verdict that nobody asked for");
}

TEST_F(AForeignServer, IsAskedToResumeAndAnswersWithEveryVerdict) {
  serve(4);
  StreamCheckpoint checkpoint;
  {
    auto stream = observe(SlowPolicy::block, 8);
    count_to(4);
    EXPECT_EQ(take(stream, 3), (std::vector<std::int64_t>{0, 1, 2}));
    checkpoint = stream.checkpoint();
    peer_.reset();
  }
  connect();
  count_to(6);
  {
    auto stream = peer_->resume<std::int64_t>(checkpoint);
    EXPECT_EQ(take(stream, 4), (std::vector<std::int64_t>{3, 4, 5, 6}));
    const auto verdict = stream.verdict();
    EXPECT_EQ(verdict->kind, StreamVerdict::resumed);
    EXPECT_EQ(verdict->first, checkpoint.sequence + 1);
    count_to(7);
    EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{7});
    checkpoint = stream.checkpoint();
    peer_.reset();
  }
  connect();
  count_to(100);
  {
    auto stream = peer_->resume<std::int64_t>(checkpoint);
    EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{100});
    const auto verdict = stream.verdict();
    EXPECT_EQ(verdict, (Verdict{StreamVerdict::gap, checkpoint.sequence + 1, stream.sequence() - 1}));
    count_to(130);
    EXPECT_EQ(take(stream, 30).back(), 130);
    peer_.reset();
  }
  connect();
  checkpoint.stream = codec::random_id();
  auto stream = peer_->resume<std::int64_t>(checkpoint);
  EXPECT_EQ(take(stream, 1), std::vector<std::int64_t>{130});
  EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
  EXPECT_EQ(stream.sequence(), 1U);
}

}  // namespace
}  // namespace sluice
