// Calls between peers: what a method gets and gives, many in flight, cancelled, refused, unanswered.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peers.hpp"
#include "records.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::Outcome;
using codec::RemoteCode;
using codec::RemoteError;
using test::Peers;

class Calls : public ::testing::Test {
 protected:
  template <typename Call>
  static RemoteCode remote_code(Call call) {
    try {
      call();
    } catch (const RemoteError& refused) {
      EXPECT_EQ(refused.code(), codec::errc::remote);
      return refused.remote_code();
    }
    ADD_FAILURE() << "no remote error";
    return {};
  }
  template <typename Call>
  static std::error_code code_of(Call call) {
    try {
      call();
    } catch (const error& failed) {
      return failed.code();
    }
    ADD_FAILURE() << "no error";
    return {};
  }

  const test::Watchdog watchdog_{60s, "calls"};
  codec::Registry registry_;
  codec::Actor& sums_ = registry_.actor("sums");
};

TEST_F(Calls, AreAnsweredByAServerThatRunsByItself) {
  sums_.method("add", [](int a, int b) { return a + b; });
  Peers peers({.registry = &registry_});
  peers.server.start();
  EXPECT_EQ(peers.client.call<int>("sums", "add", 2, 3), 5);
  EXPECT_EQ(peers.client.call<int>("sums", "add", 2, -3), -1);
}

TEST_F(Calls, AreAnsweredByAServerThatIsPolled) {
  sums_.method("add", [](int a, int b) { return a + b; });
  Peers peers({.registry = &registry_});
  auto sum = peers.client.call_async<int>("sums", "add", 2, 3);
  EXPECT_FALSE(sum.ready());
  EXPECT_EQ(peers.server.poll(), Status::ok);
  EXPECT_FALSE(sum.ready());
  EXPECT_EQ(peers.client.poll(), Status::ok);
  EXPECT_TRUE(sum.ready());
  EXPECT_EQ(std::move(sum).get(), 5);
}

TEST_F(Calls, CarryValuesOfEveryKind) {
  sums_.method("echo", [](const test::Everything& everything) { return everything; });
  sums_.method("nothing", [] {});
  sums_.method("text", [](std::string_view text) { return std::string(text) + "!"; });
  Peers peers({.registry = &registry_});
  peers.server.start();
  EXPECT_EQ(peers.client.call<test::Everything>("sums", "echo", test::some_of_everything()),
            test::some_of_everything());
  peers.client.call("sums", "nothing");
  EXPECT_EQ(peers.client.call<std::string>("sums", "text", "hello"), "hello!");
  const std::string large(100'000, 'x');
  EXPECT_EQ(peers.client.call<std::string>("sums", "text", large), large + "!");
}

TEST_F(Calls, ASideServesAndCallsAtTheSameTime) {
  codec::Registry other;
  other.actor("names").method("of", [](int number) { return "number " + std::to_string(number); });
  std::optional<Peers> peers;
  sums_.method("described", [&](int a, int b) {
    return peers->server.call<std::string>("names", "of", a + b);  // calls back while it is called
  });
  peers.emplace(codec::PeerOptions{.registry = &registry_}, codec::PeerOptions{.registry = &other});
  peers->server.start();
  EXPECT_EQ(peers->client.call<std::string>("sums", "described", 2, 3), "number 5");
  peers->client.start();
  EXPECT_EQ(peers->client.call<std::string>("sums", "described", 3, 3), "number 6");
}

TEST_F(Calls, CallingEachOtherWithoutEndIsRefusedAtSomeDepth) {
  std::optional<Peers> peers;
  codec::Registry other;
  other.actor("echo").method("down",
                             [&](int depth) { return peers->client.call<int>("sums", "down", depth + 1); });
  sums_.method("down", [&](int depth) { return peers->server.call<int>("echo", "down", depth + 1); });
  peers.emplace(codec::PeerOptions{.registry = &registry_}, codec::PeerOptions{.registry = &other});
  peers->server.start();
  EXPECT_EQ(remote_code([&] { peers->client.call<int>("sums", "down", 0); }), RemoteCode::failed);
  EXPECT_TRUE(peers->client.is_open());
}

TEST_F(Calls, AnAnswerThatComesWhileACallWithinThatCallIsWaitedForIsntLost) {
  std::optional<codec::Reply<int>> outer;
  std::optional<Peers> peers;
  codec::Registry other;
  other.actor("echo").method("inner", [&] { return peers->client.call<int>("sums", "inner"); });
  sums_.method("outer", [&](codec::Reply<int> reply) {
    outer = std::move(reply);
    peers->server.call_async<int>("echo", "inner").then([](const Outcome<int>&) {});
  });
  sums_.method("inner", [&] {
    (*outer)(1);  // before the call that was made later is answered
    return 2;
  });
  peers.emplace(codec::PeerOptions{.registry = &registry_}, codec::PeerOptions{.registry = &other});
  peers->server.start();
  EXPECT_EQ(peers->client.call<int>("sums", "outer"), 1);
}

TEST_F(Calls, TenThousandInFlightAreEachAnsweredOnce) {
  constexpr int kCalls = 10'000;
  sums_.method("twice", [](int number) { return 2 * number; });
  Peers peers({.registry = &registry_});
  std::vector<int> answers(kCalls, 0);
  for (int i = 0; i < kCalls; ++i) {
    peers.client.call_async<int>("sums", "twice", i).then([&answers, i](Outcome<int> twice) {
      ASSERT_TRUE(twice);
      ASSERT_EQ(*twice, 2 * i);
      ++answers[static_cast<std::size_t>(i)];
    });
  }
  peers.server.start();
  peers.client.call<int>("sums", "twice", 0);
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(answers[static_cast<std::size_t>(i)], 1);
}

TEST_F(Calls, MoreThanTheRingHoldsInFlightArriveBothWays) {
  sums_.method("echo", [](std::string text) { return text; });
  PortOptions small;
  small.ring_bytes = 1 << 14;
  Peers peers({.registry = &registry_}, {}, small);
  peers.server.start();
  std::vector<codec::Pending<std::string>> calls;
  for (int i = 0; i < 2'000; ++i) {
    calls.push_back(
        peers.client.call_async<std::string>("sums", "echo", std::string(100, 'x') + std::to_string(i)));
  }
  for (int i = 0; i < 2'000; ++i)
    EXPECT_EQ(std::move(calls[static_cast<std::size_t>(i)]).get(), std::string(100, 'x') + std::to_string(i));
}

TEST_F(Calls, OfSeveralThreadsShareAPeer) {
  sums_.method("twice", [](int number) { return 2 * number; });
  Peers peers({.registry = &registry_});
  peers.server.start();
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&peers, thread] {
      for (int i = 0; i < 500; ++i)
        ASSERT_EQ(peers.client.call<int>("sums", "twice", i * 4 + thread), 2 * (i * 4 + thread));
    });
  }
}

TEST_F(Calls, OfAnUnknownTargetOrWithWrongArgumentsAreRefused) {
  sums_.method("add", [](int a, std::optional<int> b) { return a + b.value_or(10); });
  Peers peers({.registry = &registry_});
  peers.server.start();
  EXPECT_EQ(remote_code([&] { peers.client.call("differences", "add"); }), RemoteCode::no_such_actor);
  EXPECT_EQ(remote_code([&] { peers.client.call("sums", "subtract"); }), RemoteCode::no_such_member);
  EXPECT_EQ(remote_code([&] { peers.client.call<int>("sums", "add"); }), RemoteCode::bad_arguments);
  EXPECT_EQ(remote_code([&] { peers.client.call<int>("sums", "add", "text"); }), RemoteCode::bad_arguments);
  EXPECT_EQ(peers.client.call<int>("sums", "add", 1), 11);           // a missing optional
  EXPECT_EQ(peers.client.call<int>("sums", "add", 1, 2, "new"), 3);  // an argument the server doesn't know
  EXPECT_EQ(code_of([&] { peers.client.call<std::string>("sums", "add", 1, 2); }), codec::errc::wrong_type);
  EXPECT_EQ(code_of([&] { peers.client.call("", "add"); }), errc::bad_name);
  EXPECT_EQ(code_of([&] { peers.client.call("sums", std::string(129, 'x')); }), errc::bad_name);
}

TEST_F(Calls, AMethodThatThrowsAnswersWithAnError) {
  sums_.method("fail", []() -> int { throw std::runtime_error("no \x1b[31m sum"); });
  sums_.method("fail oddly", []() -> int { throw 17; });
  sums_.method("fail at length", []() -> int { throw std::runtime_error(std::string(100'000, 'x')); });
  Peers peers({.registry = &registry_});
  peers.server.start();
  try {
    peers.client.call<int>("sums", "fail");
    FAIL();
  } catch (const RemoteError& failed) {
    EXPECT_EQ(failed.remote_code(), RemoteCode::failed);
    EXPECT_EQ(failed.detail(), "no \\x1b[31m sum");
  }
  EXPECT_EQ(remote_code([&] { peers.client.call<int>("sums", "fail oddly"); }), RemoteCode::failed);
  EXPECT_EQ(remote_code([&] { peers.client.call<int>("sums", "fail at length"); }), RemoteCode::failed);
  EXPECT_TRUE(peers.server.is_open());
}

TEST_F(Calls, ThatAreGivenUpCancelTheReply) {
  std::optional<codec::Reply<int>> reply;
  std::atomic<int> cancelled = 0;
  sums_.method("later", [&](const codec::Reply<int>& later) {
    later.on_cancel([&] { ++cancelled; });
    reply = later;
  });
  Peers peers({.registry = &registry_});
  EXPECT_EQ(code_of([&] { peers.client.call<int>({.timeout = 1ms}, "sums", "later"); }), errc::timed_out);
  EXPECT_EQ(peers.server.poll(), Status::ok);
  EXPECT_EQ(cancelled, 1);
  EXPECT_TRUE(reply->cancelled());
  (*reply)(17);  // dropped

  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of([&] { peers.client.call<int>({.stop = stop.get_token()}, "sums", "later"); }),
            codec::errc::cancelled);
  EXPECT_EQ(peers.server.poll(), Status::ok);
  EXPECT_EQ(cancelled, 2);

  { const auto dropped = peers.client.call_async<int>("sums", "later"); }
  EXPECT_EQ(peers.server.poll(), Status::ok);
  EXPECT_EQ(cancelled, 3);
  EXPECT_EQ(peers.client.poll(), Status::ok);
}

TEST_F(Calls, AreAnsweredLaterByAnotherThread) {
  std::vector<std::jthread> workers;  // joined when the server's thread, which makes them, is
  sums_.method("slow", [&](const codec::Reply<int>& reply, int number) {
    workers.emplace_back([reply, number] {
      std::this_thread::sleep_for(1ms);
      reply(number + 1);
    });
  });
  sums_.method("never", [](const codec::Reply<void>&) {});
  sums_.method("refuse", [](const codec::Reply<void>& reply) { reply.fail("not today"); });
  Peers peers({.registry = &registry_});
  peers.server.start();
  auto first = peers.client.call_async<int>("sums", "slow", 1);
  auto second = peers.client.call_async<int>("sums", "slow", 2);
  EXPECT_EQ(std::move(second).get(), 3);
  EXPECT_EQ(std::move(first).get(), 2);
  EXPECT_EQ(remote_code([&] { peers.client.call("sums", "never"); }), RemoteCode::failed);
  EXPECT_EQ(remote_code([&] { peers.client.call("sums", "refuse"); }), RemoteCode::failed);
}

TEST_F(Calls, WhoseCallerIsGoneAreCancelled) {
  std::optional<codec::Reply<int>> reply;
  std::atomic<bool> cancelled = false;
  sums_.method("later", [&](codec::Reply<int> later) {
    later.on_cancel([&] { cancelled = true; });
    reply = std::move(later);
  });
  Peers peers({.registry = &registry_});
  auto pending = peers.client.call_async<int>("sums", "later");
  EXPECT_EQ(peers.server.poll(), Status::ok);
  peers.client.close();
  EXPECT_EQ(code_of([&] { std::move(pending).get(); }), codec::errc::peer_ended);
  EXPECT_EQ(peers.server.run(), Status::closed);
  EXPECT_TRUE(cancelled);
  (*reply)(1);
}

TEST_F(Calls, FailWhenTheServerEnds) {
  sums_.method("later", [&](const codec::Reply<int>&) { throw std::runtime_error("x"); });
  std::optional<Peers> peers;
  peers.emplace(codec::PeerOptions{.registry = &registry_});
  auto pending = peers->client.call_async<int>("sums", "later");
  peers->server.close();
  EXPECT_EQ(code_of([&] { std::move(pending).get(); }), codec::errc::peer_ended);
  EXPECT_EQ(code_of([&] { peers->client.call("sums", "later"); }), codec::errc::peer_ended);
}

TEST_F(Calls, MoreThanAllowedWaitForAnAnswerOrAreRefused) {
  std::vector<codec::Reply<int>> replies;
  sums_.method("later", [&](const codec::Reply<int>& reply) { replies.push_back(reply); });
  Peers peers({.registry = &registry_, .max_calls = 2}, {.max_calls = 3});
  std::vector<codec::Pending<int>> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(peers.client.call_async<int>("sums", "later"));
  EXPECT_EQ(code_of([&] { peers.client.call<int>({.timeout = 1ms}, "sums", "later"); }), errc::timed_out);
  EXPECT_EQ(peers.server.poll(), Status::ok);
  EXPECT_EQ(remote_code([&] { std::move(calls[2]).get(); }), RemoteCode::too_many);
  replies[0](1);
  replies[1](2);
  EXPECT_EQ(std::move(calls[1]).get(), 2);
}

TEST_F(Calls, OneWayCallsArriveInOrderAndTellTheServerWhatFailed) {
  std::vector<int> got;
  sums_.method("note", [&](int number) { got.push_back(number); });
  std::vector<std::string> failed;
  Peers peers(
      {.registry = &registry_, .on_send_failed = [&](const std::string& text) { failed.push_back(text); }});
  for (int i = 0; i < 100; ++i) peers.client.send("sums", "note", i);
  peers.client.send("sums", "note", "text");
  peers.client.send("sums", "nothing");
  EXPECT_EQ(peers.server.poll(), Status::ok);
  ASSERT_EQ(got.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
  ASSERT_EQ(failed.size(), 2U);
  EXPECT_EQ(failed[0], "\"sums\" \"note\": bad arguments: argument 1 of 1: got string of 4 bytes");
  EXPECT_EQ(failed[1], "\"sums\" \"nothing\": no such method or state");
}

TEST_F(Calls, ActorsThatAreRemovedAreGoneForLaterCalls) {
  sums_.method("add", [](int a, int b) { return a + b; });
  Peers peers({.registry = &registry_});
  peers.server.start();
  EXPECT_EQ(peers.client.call<int>("sums", "add", 2, 3), 5);
  EXPECT_TRUE(registry_.remove("sums"));
  EXPECT_FALSE(registry_.remove("sums"));
  EXPECT_EQ(remote_code([&] { peers.client.call<int>("sums", "add", 2, 3); }), RemoteCode::no_such_actor);
}

TEST_F(Calls, APeerMayBeDestroyedInsideItsOwnMethod) {
  auto ports = make_port_pair();
  std::unique_ptr<codec::Peer> server;
  std::atomic<bool> destroyed = false;
  sums_.method("end", [&] {
    server.reset();
    destroyed = true;
  });
  server = std::make_unique<codec::Peer>(std::move(ports.first), codec::PeerOptions{.registry = &registry_});
  codec::Peer client(std::move(ports.second));
  server->start();
  EXPECT_EQ(code_of([&] { client.call("sums", "end"); }), codec::errc::peer_ended);
  while (!destroyed) std::this_thread::yield();
}

}  // namespace
}  // namespace sluice
