// Observed states: what observers see, at what pace, and what becomes of a stream whose client comes back.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "child_process.hpp"
#include "peers.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::ObservableState;
using codec::ObserveOptions;
using codec::Peer;
using codec::SlowPolicy;
using codec::StreamEnd;
using codec::StreamVerdict;
using codec::Verdict;
using test::Peers;

struct Todos {
  std::vector<std::string> items{};
  MSGPACK_DEFINE_MAP(items)
};

class Streams : public ::testing::Test {
 protected:
  /// Both ends do what they have to.
  static void settle(Peers& peers) {
    for (int i = 0; i < 4; ++i) {
      (void)peers.server.poll();
      (void)peers.client.poll();
    }
  }
  template <typename T>
  static std::vector<T> drain(Peers& peers, codec::Observed<T>& stream) {
    std::vector<T> values;
    for (;;) {
      settle(peers);
      const T* const value = stream.try_next();
      if (value == nullptr) return values;
      values.push_back(*value);
    }
  }

  const test::Watchdog watchdog_{60s, "observed states"};
  codec::Registry registry_;
  codec::Actor& actor_ = registry_.actor("counter");
};

TEST_F(Streams, BeginWithThePresentValueAndBringEveryChange) {
  ObservableState<int> state(7);
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  auto stream = peers.client.observe<int>("counter", "value");
  EXPECT_EQ(drain(peers, stream), std::vector{7});
  EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::started});
  state = 8;
  state.set(9);
  state.update([](int& value) { ++value; });
  EXPECT_EQ(drain(peers, stream), (std::vector{8, 9, 10}));
  EXPECT_EQ(stream.sequence(), 4U);
  EXPECT_EQ(stream.status(), Status::timed_out);
  EXPECT_EQ(state.get(), 10);
  EXPECT_EQ(state.version(), 3U);
}

TEST_F(Streams, AreRangesForCallersThatWait) {
  ObservableState<Todos> state;
  actor_.state("todos", state);
  Peers peers({.registry = &registry_});
  peers.server.start();
  actor_.method(
      "add", [&](const std::string& item) { state.update([&](Todos& all) { all.items.push_back(item); }); });
  auto stream = peers.client.observe<Todos>("counter", "todos");
  std::size_t items = 0;
  for (const Todos& todos : stream) {
    EXPECT_EQ(todos.items.size(), items++);
    if (items == 5) break;
    peers.client.call("counter", "add", "item");
  }
}

TEST_F(Streams, CallBackOnTheThreadThatRunsThePeer) {
  ObservableState<int> state(1);
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  std::vector<int> values;
  auto stream = peers.client.observe<int>("counter", "value");
  settle(peers);
  stream.on_value([&](int value) { values.push_back(value); });  // takes what has come, too
  state = 2;
  settle(peers);
  auto moved = std::move(stream);
  state = 3;
  settle(peers);
  EXPECT_EQ(values, (std::vector{1, 2, 3}));
}

TEST_F(Streams, ACallbackThatThrowsEndsItsStream) {
  ObservableState<int> state(1);
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  auto stream = peers.client.observe<int>("counter", "value");
  stream.on_value([&](int) { throw std::runtime_error("can't draw"); });
  settle(peers);
  EXPECT_EQ(stream.failure_text(), "can't draw");
  EXPECT_TRUE(peers.client.is_open());
}

TEST_F(Streams, AreOfManyObserversAndOfManyPorts) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  std::vector<std::unique_ptr<Peers>> all;
  std::vector<codec::Observed<int>> streams;
  for (int i = 0; i < 3; ++i) {
    all.push_back(std::make_unique<Peers>(codec::PeerOptions{.registry = &registry_}));
    for (int k = 0; k < 4; ++k) streams.push_back(all.back()->client.observe<int>("counter", "value"));
    settle(*all.back());
  }
  state = 1;
  for (std::size_t i = 0; i < streams.size(); ++i)
    EXPECT_EQ(drain(*all[i / 4], streams[i]), (std::vector{0, 1})) << i;
}

TEST_F(Streams, EndAtTheServerWhenTheyAreDroppedByTheClient) {
  ObservableState<int> state(0, {.retention = 300s});
  actor_.state("value", state);
  Peers peers({.registry = &registry_, .max_streams = 1});
  {
    auto stream = peers.client.observe<int>("counter", "value");
    EXPECT_EQ(drain(peers, stream), std::vector{0});
  }
  settle(peers);
  auto second = peers.client.observe<int>("counter", "value");  // there is room for it
  EXPECT_EQ(drain(peers, second), std::vector{0});
  auto third = peers.client.observe<int>("counter", "value");
  EXPECT_EQ(drain(peers, third), std::vector<int>{});
  EXPECT_EQ(third.status(), Status::closed);
  EXPECT_EQ(third.end_reason(), StreamEnd::error);
  EXPECT_EQ(third.failure_text(), "too many: 1 streams");
}

TEST_F(Streams, OfAnUnknownStateAreRefused) {
  Peers peers({.registry = &registry_});
  auto stream = peers.client.observe<int>("counter", "nothing");
  EXPECT_EQ(drain(peers, stream), std::vector<int>{});
  EXPECT_EQ(stream.failure(), codec::errc::remote);
  EXPECT_EQ(stream.failure_text(), "no such method or state: \"counter\" \"nothing\"");
  auto other = peers.client.observe<int>("nobody", "nothing");
  EXPECT_EQ(drain(peers, other), std::vector<int>{});
  EXPECT_EQ(other.failure_text(), "no such actor: \"nobody\"");
}

TEST_F(Streams, PassOverValuesOfAnotherType) {
  ObservableState<std::string> state("text");
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  auto stream = peers.client.observe<int>("counter", "value");
  settle(peers);
  EXPECT_EQ(stream.try_next(), nullptr);
  EXPECT_EQ(stream.status(), Status::malformed);
  EXPECT_EQ(stream.failure_text(), "message of 5 bytes: expected int, got string of 4 bytes");
  EXPECT_EQ(stream.try_next(), nullptr);
  EXPECT_EQ(stream.status(), Status::timed_out);
}

TEST_F(Streams, EndWithTheStateAndWithItsActor) {
  std::optional<ObservableState<int>> state(1);
  ObservableState<int> other(2);
  actor_.state("value", *state).state("other", other);
  Peers peers({.registry = &registry_});
  auto stream = peers.client.observe<int>("counter", "value");
  auto second = peers.client.observe<int>("counter", "other");
  EXPECT_EQ(drain(peers, stream), std::vector{1});
  state.reset();
  EXPECT_EQ(drain(peers, stream), std::vector<int>{});
  EXPECT_EQ(stream.status(), Status::closed);
  EXPECT_EQ(stream.end_reason(), StreamEnd::actor_terminated);
  EXPECT_EQ(drain(peers, second), std::vector{2});
  registry_.remove("counter");
  EXPECT_EQ(drain(peers, second), std::vector<int>{});
  EXPECT_EQ(second.end_reason(), StreamEnd::actor_terminated);
}

TEST_F(Streams, OfASlowObserverConflateToTheNewestValueWithoutHoldingUpOthers) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  auto slow = peers.client.observe<int>("counter", "value", {.window = 2});
  auto quick = peers.client.observe<int>("counter", "value", {.window = 100});
  settle(peers);
  for (int i = 1; i <= 50; ++i) state = i;
  const auto quick_values = drain(peers, quick);
  EXPECT_EQ(quick_values.size(), 51U);
  // Two came before the credit was used up; what it frees brings the newest.
  EXPECT_EQ(drain(peers, slow), (std::vector{0, 1, 50}));
  EXPECT_EQ(slow.sequence(), 3U);
}

TEST_F(Streams, OfASlowObserverThatBlocksBringEveryValueToAnUpdaterThatWaits) {
  ObservableState<int> state(0, {.retained_items = 4, .longest_wait = 30s});
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  peers.server.start();
  auto stream = peers.client.observe<int>("counter", "value", {.slow = SlowPolicy::block, .window = 3});
  EXPECT_EQ(*stream.next(), 0);
  std::jthread updater([&] {
    for (int i = 1; i <= 500; ++i) state = i;
  });
  for (int i = 1; i <= 500; ++i) {
    if (i % 100 == 0) std::this_thread::sleep_for(5ms);
    const int* const value = stream.next();
    ASSERT_NE(value, nullptr) << stream.failure_text();
    ASSERT_EQ(*value, i);
  }
}

TEST_F(Streams, OfAnObserverThatBlocksForTooLongAreEnded) {
  ObservableState<int> state(0, {.retained_items = 4, .longest_wait = 10ms});
  actor_.state("value", state);
  Peers peers({.registry = &registry_});
  auto blocking = peers.client.observe<int>("counter", "value", {.slow = SlowPolicy::block, .window = 1});
  settle(peers);
  for (int i = 1; i <= 100; ++i) state = i;
  drain(peers, blocking);
  EXPECT_EQ(blocking.end_reason(), StreamEnd::error);
  EXPECT_EQ(blocking.failure_text(), "too slow: the observer took nothing for too long");
  EXPECT_EQ(state.get(), 100);
}

TEST_F(Streams, OfAnObserverThatNeverReadsHoldUpNobody) {
  ObservableState<std::string> state;
  actor_.state("value", state);
  PortOptions small;
  small.ring_bytes = 1 << 14;
  Peers deaf({.registry = &registry_}, {}, small);
  Peers peers({.registry = &registry_}, {}, small);
  std::vector<codec::Observed<std::string>> ignored;
  for (int i = 0; i < 20; ++i) ignored.push_back(deaf.client.observe<std::string>("counter", "value"));
  ASSERT_EQ(deaf.server.poll(), Status::ok);
  auto stream = peers.client.observe<std::string>("counter", "value");
  settle(peers);
  for (int i = 0; i < 1000; ++i) {
    state = std::string(1000, 'x') + std::to_string(i);
    settle(peers);
  }
  const auto values = drain(peers, stream);
  ASSERT_FALSE(values.empty());
  EXPECT_EQ(values.back(), state.get());
  // And if it reads again, it gets the newest value.
  std::string last;
  for (int i = 0; i < 200; ++i) {
    settle(deaf);
    for (auto& each : ignored) {
      while (const std::string* const value = each.try_next()) last = *value;
    }
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(last, state.get());
}

TEST_F(Streams, AReaderThatStallsAgainIsGivenTheWholeTimeAgain) {
  constexpr auto kTimeout = 100ms;
  actor_.method("much", [] { return std::string(4000, 'x'); });
  PortOptions small;
  small.ring_bytes = 1 << 14;
  auto [port, other] = make_port_pair(small, small);
  Peer server(std::move(port),
              {.registry = &registry_, .max_kept_bytes = 1 << 15, .stall_timeout = kTimeout});
  codec::FrameHead hello(codec::FrameKind::hello, 6);
  hello.text(codec::kFramesName).number(codec::kFramesMajor).number(0).id(codec::random_id()).number(0);
  ASSERT_EQ(other.post_message(hello.bytes()), Status::ok);
  const auto stall = [&, &caller = other] {
    codec::FrameHead call(codec::FrameKind::call, 5);
    call.id(codec::random_id()).text("counter").text("much");
    const std::vector<std::byte> arguments{std::byte{0x90}};
    for (int i = 0; i < 40; ++i)
      ASSERT_EQ(caller.post_parts_until(call.bytes(), arguments, kNoDeadline), Status::ok);
    ASSERT_EQ(server.poll(), Status::ok);  // until more is kept than allowed
  };
  stall();
  for (int answers = 0; answers < 40;) {
    while (other.try_receive()) ++answers;
    ASSERT_EQ(server.poll(), Status::ok);
  }
  std::this_thread::sleep_for(2 * kTimeout);
  stall();
  EXPECT_EQ(server.status(), Status::ok);
  std::this_thread::sleep_for(2 * kTimeout);
  EXPECT_EQ(server.poll(), Status::broken);  // it was the second stall
}

TEST_F(Streams, TakeLessThanAKibibyteEachWhileIdle) {
  constexpr std::size_t kStreams = 1000;
  ObservableState<int> state(7);
  actor_.state("value", state);
  std::pair<Port, Port> ports = make_port_pair();
  Port& other = ports.second;
  Peer server(std::move(ports.first), {.registry = &registry_});
  const auto post = [&](const codec::FrameHead& head, const std::vector<std::byte>& body) {
    ASSERT_EQ(other.post_parts_until(head.bytes(), body, kNoDeadline), Status::ok);
    ASSERT_EQ(server.poll(), Status::ok);
  };
  const auto take_all = [&] {
    while (other.try_receive()) {
    }
  };
  codec::FrameHead hello(codec::FrameKind::hello, 6);
  hello.text(codec::kFramesName).number(codec::kFramesMajor).number(0).id(codec::random_id()).number(0);
  post(hello, {});
  const auto options = ObserveOptions().start("counter", "value", codec::DeltaKind::generic).options;
  std::size_t before = 0;
  for (std::size_t i = 0; i < kStreams + 10; ++i) {
    if (i == 10) before = ::mallinfo2().uordblks;  // what is made once is there
    codec::FrameHead start(codec::FrameKind::stream_start, 5);
    start.id(codec::random_id()).text("counter").text("value");
    post(start, options);
    take_all();
  }
  const std::size_t each = (::mallinfo2().uordblks - before) / kStreams;
  RecordProperty("bytes", static_cast<int>(each));
  EXPECT_LT(each, 1024U);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_GT(each, 100U);  // the measurement measures
#endif
}

TEST_F(Streams, AValueThatDoesNotFitIntoThePortEndsTheStream) {
  ObservableState<std::string> state("small");
  actor_.state("value", state);
  PortOptions small;
  small.ring_bytes = 1 << 14;
  Peers peers({.registry = &registry_}, {}, small);
  auto stream = peers.client.observe<std::string>("counter", "value");
  EXPECT_EQ(drain(peers, stream).size(), 1U);
  state = std::string(1 << 15, 'x');
  EXPECT_EQ(drain(peers, stream).size(), 0U);
  EXPECT_EQ(stream.failure_text(), "too large: a value of 32771 bytes doesn't fit into the port");
}

struct Machine {
  double temperature = 0;
  std::vector<std::string> alarms{};
  MSGPACK_DEFINE_MAP(temperature, alarms)
};

TEST_F(Streams, BringWhatTheirFilterPasses) {
  ObservableState<Machine> state(Machine{50, {}});
  actor_.state("machine", state);
  Peers peers({.registry = &registry_});
  auto hot = peers.client.observe<Machine>(
      "counter", "machine", {.filter = codec::Filter::threshold(60, {.field = "temperature"})});
  auto alarmed = peers.client.observe<Machine>(
      "counter", "machine",
      {.filter = codec::Filter::changed("alarms") && codec::Filter::non_empty("alarms")});
  settle(peers);
  for (const double temperature : {61., 59., 70.}) {
    state.update([&](Machine& machine) { machine.temperature = temperature; });
    settle(peers);
  }
  state.update([](Machine& machine) { machine.alarms.emplace_back("hot"); });
  state.update([](Machine& machine) { machine.temperature = 20; });
  std::vector<double> temperatures;
  for (const Machine& machine : drain(peers, hot)) temperatures.push_back(machine.temperature);
  EXPECT_EQ(temperatures, (std::vector<double>{61, 70, 70}));
  const auto alarms = drain(peers, alarmed);
  ASSERT_EQ(alarms.size(), 1U);
  EXPECT_EQ(alarms[0].alarms, std::vector<std::string>{"hot"});
  EXPECT_EQ(alarmed.sequence(), 1U);  // counts what is sent
}

TEST_F(Streams, BringTheNewestValueWhenARateLimitAllowsIt) {
  for (const bool by_itself : {false, true}) {
    ObservableState<int> state(0);
    actor_.state("value", state);
    Peers peers({.registry = &registry_});
    if (by_itself) peers.server.start();
    auto stream = peers.client.observe<int>("counter", "value", {.filter = codec::Filter::rate_limit(50ms)});
    if (!by_itself) settle(peers);
    EXPECT_EQ(*stream.next(), 0);
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 1; i <= 10; ++i) state = i;
    for (int last = 0; last != 10;) {
      if (!by_itself) (void)peers.server.run_once(deadline_in(5ms));
      const int* const value = stream.next_for(5ms);
      if (value == nullptr) continue;
      EXPECT_GT(*value, last);
      last = *value;
    }
    EXPECT_GT(std::chrono::steady_clock::now() - begun, 20ms);
    EXPECT_LE(stream.sequence(), 3U);
  }
}

TEST_F(Streams, RefuseInvalidOptionsAndSayWhichAreValid) {
  Peers peers({.registry = &registry_});
  EXPECT_THROW((void)peers.client.observe<int>("counter", "value", {.window = 0}), error);
  EXPECT_THROW((void)peers.client.observe<int>("counter", "value", {.window = codec::kMaxCredit + 1}), error);
  EXPECT_THROW((void)peers.client.observe<int>("", "value"), error);
}

TEST_F(Streams, BringChangesAsDeltas) {
  using Table = std::map<std::string, int>;
  Table table;
  for (int i = 0; i < 1000; ++i) table["field " + std::to_string(i)] = i;
  ObservableState<Table> state(table);
  actor_.state("table", state);
  Peers peers({.registry = &registry_}, {}, {.ring_bytes = 1 << 17});
  auto stream = peers.client.observe<Table>("counter", "table", {.delta = true});
  EXPECT_EQ(drain(peers, stream).back(), table);
  for (int i = 0; i < 200; ++i) {
    state.update([&](Table& changed) {
      changed["field " + std::to_string(i)] = -i;
      changed["new field " + std::to_string(i)] = i;
      changed.erase("new field " + std::to_string(i - 5));
    });
    settle(peers);
    EXPECT_EQ(*stream.try_next(), state.get()) << i;
  }
  state.update([](Table&) {});
  EXPECT_EQ(drain(peers, stream).size(), 0U);  // no change
}

struct Counter {
  std::uint64_t count = 0;
  std::string name = "a counter with a long name";
  MSGPACK_DEFINE(count, name)
  friend bool operator==(const Counter&, const Counter&) = default;
};
std::optional<std::uint64_t> delta(const Counter& from, const Counter& to) {
  if (from.name != to.name) return std::nullopt;
  return to.count - from.count;
}
Counter applying(const Counter& base, std::uint64_t change) {
  return {base.count + change, base.name};
}

TEST_F(Streams, BringChangesAsTheTypesOwnDeltas) {
  ObservableState<Counter> state;
  actor_.state("own", state);
  Peers peers({.registry = &registry_});
  auto stream = peers.client.observe<Counter>("counter", "own", {.delta = true});
  auto full = peers.client.observe<Counter>("counter", "own");
  settle(peers);
  for (int i = 0; i < 5; ++i) state.update([](Counter& counter) { counter.count += 2; });
  state.update([](Counter& counter) { counter.name = "another"; });
  state.update([](Counter& counter) { counter.count += 2; });
  EXPECT_EQ(drain(peers, stream).back(), state.get());
  EXPECT_EQ(stream.sequence(), 8U);
  EXPECT_EQ(drain(peers, full).back(), state.get());
}

TEST_F(Streams, SayMisuseInAForkedChildAndAreLeftAlone) {
  std::optional<ObservableState<int>> state(1);
  actor_.state("value", *state).method("later", [](codec::Reply<int> reply) {
    static const auto kept = reply;
  });
  std::optional<Peers> peers(std::in_place, codec::PeerOptions{.registry = &registry_});
  peers->server.start();
  std::optional<codec::Observed<int>> stream(peers->client.observe<int>("counter", "value"));
  EXPECT_EQ(*stream->next(), 1);
  std::optional<codec::Pending<int>> pending(peers->client.call_async<int>("counter", "later"));
  test::ChildProcess child([&] {
    ::alarm(20);
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { peers->client.call("counter", "later"); }));
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { (void)peers->client.poll(); }));
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { (void)stream->next(); }));
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { (void)stream->checkpoint(); }));
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { (void)pending->ready(); }));
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { *state = 2; }));
    EXPECT_TRUE(test::throws(errc::misuse, "fork", [&] { (void)registry_.actor("another"); }));
    pending.reset();
    stream.reset();
    peers.reset();
    state.reset();
  });
  const auto status = child.wait_for(30s);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ok()) << to_string(*status);
  *state = 2;
  EXPECT_EQ(*stream->next(), 2);
  EXPECT_FALSE(pending->ready());
}

/// A server whose clients come and go.
class Resumption : public Streams {
 protected:
  void connect(const codec::Id& client) {
    peers_.reset();
    peers_.emplace(codec::PeerOptions{.registry = &registry_}, codec::PeerOptions{.client = client});
  }

  /// The client closes, and the server has seen it.
  void disconnect() {
    peers_->client.close();
    EXPECT_EQ(peers_->server.run(), Status::closed);
  }

  std::optional<Peers> peers_;
  const codec::Id client_ = codec::random_id();
};

TEST_F(Resumption, BringsWhatWasMissedAndThenGoesOn) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value");
    settle(*peers_);
    state = 1;
    EXPECT_EQ(drain(*peers_, stream), (std::vector{0, 1}));
    checkpoint = stream.checkpoint();
    disconnect();
  }
  state = 2;
  state = 3;
  connect(client_);
  auto stream = peers_->client.resume<int>(checkpoint);
  EXPECT_EQ(stream.checkpoint().sequence, checkpoint.sequence);
  EXPECT_EQ(drain(*peers_, stream), (std::vector{2, 3}));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 3, 4}));
  state = 4;
  EXPECT_EQ(drain(*peers_, stream), std::vector{4});
  EXPECT_EQ(stream.sequence(), 5U);
}

TEST_F(Resumption, OfAStreamThatWasLeftGoesOnInTheSamePeer) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value");
    EXPECT_EQ(drain(*peers_, stream), std::vector{0});
    checkpoint = stream.checkpoint();
    stream.leave();
  }
  state = 1;
  auto stream = peers_->client.resume<int>(checkpoint);
  EXPECT_EQ(drain(*peers_, stream), std::vector{1});
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 2}));
}

TEST_F(Resumption, OfAClientThatIsUpToDateBringsNothingTwice) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value");
    EXPECT_EQ(drain(*peers_, stream), std::vector{0});
    checkpoint = stream.checkpoint();
    disconnect();
  }
  connect(client_);
  auto stream = peers_->client.resume<int>(checkpoint);
  EXPECT_EQ(drain(*peers_, stream), std::vector<int>{});
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 1}));
  state = 1;
  EXPECT_EQ(drain(*peers_, stream), std::vector{1});
}

TEST_F(Resumption, WithinTheCreditBringsTheRestAsItIsConsumed) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value", {.window = 3});
    EXPECT_EQ(drain(*peers_, stream), std::vector{0});
    checkpoint = stream.checkpoint();
    disconnect();
  }
  std::vector<int> missed;
  for (int i = 1; i <= 50; ++i) {
    state = i;
    missed.push_back(i);
  }
  connect(client_);
  auto stream = peers_->client.resume<int>(checkpoint);
  EXPECT_EQ(drain(*peers_, stream), missed);
}

TEST_F(Resumption, SaysWhatIsGoneAndGoesOnWithThePresentValue) {
  for (const bool delta : {false, true}) {  // with deltas, too, though it is no change to the last item
    ObservableState<int> state(0, {.retained_items = 5});
    actor_.state("value", state);
    connect(client_);
    StreamCheckpoint checkpoint;
    {
      auto stream = peers_->client.observe<int>("counter", "value", {.delta = delta});
      EXPECT_EQ(drain(*peers_, stream), std::vector{0});
      checkpoint = stream.checkpoint();
      disconnect();
    }
    for (int i = 1; i <= 6; ++i) state = i;
    connect(client_);
    auto stream = peers_->client.resume<int>(checkpoint);
    EXPECT_EQ(drain(*peers_, stream), std::vector{6});
    EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::gap, 2, 7}));
    EXPECT_EQ(stream.sequence(), 8U);
    state = 7;
    EXPECT_EQ(drain(*peers_, stream), std::vector{7});
  }
}

// What a stream has sent stays in its port's ring, and is read back from there.

TEST_F(Resumption, ReadsWhatWasSentBackFromTheRing) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value");
    EXPECT_EQ(drain(*peers_, stream), std::vector{0});
    checkpoint = stream.checkpoint();
    for (int i = 1; i <= 20; ++i) state = i;  // sent, and lost with this connection
    disconnect();
  }
  for (int i = 21; i <= 25; ++i) state = i;
  connect(client_);
  auto stream = peers_->client.resume<int>(checkpoint);
  std::vector<int> missed;
  for (int i = 1; i <= 25; ++i) missed.push_back(i);
  EXPECT_EQ(drain(*peers_, stream), missed);
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 26}));
}

TEST_F(Resumption, ReadsBackFromTheRingOfAConnectionThatIsNotKnownToBeDead) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  auto stream = peers_->client.observe<int>("counter", "value");
  EXPECT_EQ(drain(*peers_, stream), std::vector{0});
  const auto checkpoint = stream.checkpoint();
  state = 1;
  state = 2;
  Peers again({.registry = &registry_}, {.client = client_});
  auto resumed = again.client.resume<int>(checkpoint);
  EXPECT_EQ(drain(again, resumed), (std::vector{1, 2}));
}

TEST_F(Resumption, SaysWhatIsGoneFromARingThatWasOverwritten) {
  ObservableState<int> state(0);
  actor_.state("value", state).method("fill", [] { return std::string(1000, 'x'); });
  PortOptions small;
  small.ring_bytes = 1 << 14;
  peers_.emplace(codec::PeerOptions{.registry = &registry_}, codec::PeerOptions{.client = client_}, small);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value");
    EXPECT_EQ(drain(*peers_, stream), std::vector{0});
    checkpoint = stream.checkpoint();
    state = 1;
    for (int i = 0; i < 40; ++i) {
      auto answer = peers_->client.call_async<std::string>("counter", "fill");
      settle(*peers_);
      EXPECT_TRUE(answer.ready());
    }
    state = 2;
    disconnect();
  }
  connect(client_);
  auto stream = peers_->client.resume<int>(checkpoint);
  EXPECT_EQ(drain(*peers_, stream), std::vector{2});
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::gap, 2, 3}));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(Resumption, KeepsNoSecondCopyOfWhatTheRingHoldsForAStreamThatIsAloneOnItsPort) {
  constexpr std::size_t kBytes = 4000;
  constexpr int kItems = 90;
  for (const int streams : {1, 2}) {
    ObservableState<std::string> state(std::string(kBytes, 'a'));
    actor_.state("value", state);
    connect(client_);
    std::vector<codec::Observed<std::string>> observed;
    for (int i = 0; i < streams; ++i) {
      observed.push_back(peers_->client.observe<std::string>("counter", "value"));
      EXPECT_EQ(drain(*peers_, observed.back()).size(), 1U);
    }
    const auto update = [&](int count) {
      for (int i = 0; i < count; ++i) {
        state = std::string(kBytes, static_cast<char>('b' + i % 20));
        for (auto& each : observed) EXPECT_EQ(drain(*peers_, each).size(), 1U);
      }
    };
    update(5);  // what is made once is there
    const std::size_t before = ::mallinfo2().uordblks;
    update(kItems);
    const std::size_t kept = ::mallinfo2().uordblks - before;
    if (streams == 1) {
      EXPECT_LT(kept, 10 * kBytes);
    } else {
      EXPECT_GT(kept, (kItems - 10) * kBytes);
    }
    disconnect();
    const std::size_t without_connection = ::mallinfo2().uordblks - before;
    EXPECT_GT(without_connection + (1U << 18U), (kItems - 10) * kBytes);  // read back
  }
}
#endif

TEST_F(Resumption, KeepsFilterAndDeltas) {
  using Table = std::map<std::string, int>;
  Table table{{"level", 0}};
  for (int i = 0; i < 100; ++i) table["field " + std::to_string(i)] = i;
  ObservableState<Table> state(table);
  actor_.state("table", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  const auto set_level = [&](int level) { state.update([&](Table& changed) { changed["level"] = level; }); };
  const auto levels = [&](codec::Observed<Table>& stream) {
    std::vector<int> seen;
    for (auto& each : drain(*peers_, stream)) seen.push_back(each.at("level"));
    return seen;
  };
  {
    auto stream = peers_->client.observe<Table>(
        "counter", "table", {.filter = codec::Filter::threshold(10, {.field = "level"}), .delta = true});
    settle(*peers_);
    set_level(11);
    EXPECT_EQ(levels(stream), std::vector{11});
    checkpoint = stream.checkpoint();
    disconnect();
  }
  for (const int level : {5, 12, 6, 13}) set_level(level);
  connect(client_);
  auto stream = peers_->client.resume<Table>(checkpoint);
  EXPECT_EQ(levels(stream), (std::vector{12, 13}));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 3}));
  for (const int level : {7, 14}) {
    set_level(level);
    settle(*peers_);
  }
  EXPECT_EQ(levels(stream), std::vector{14});
  EXPECT_EQ(stream.sequence(), 4U);
}

TEST_F(Resumption, OfAnUnknownOrExpiredStreamRestartsIt) {
  ObservableState<int> state(0, {.retention = 1ms});
  actor_.state("value", state);
  connect(client_);
  StreamCheckpoint checkpoint;
  {
    auto stream = peers_->client.observe<int>("counter", "value");
    EXPECT_EQ(drain(*peers_, stream), std::vector{0});
    checkpoint = stream.checkpoint();
    disconnect();
  }
  std::this_thread::sleep_for(2ms);
  state = 1;
  connect(client_);
  {
    auto stream = peers_->client.resume<int>(checkpoint);
    EXPECT_EQ(drain(*peers_, stream), std::vector{1});
    EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
    EXPECT_EQ(stream.sequence(), 1U);
    EXPECT_NE(stream.checkpoint().stream, checkpoint.stream);
    state = 2;
    EXPECT_EQ(drain(*peers_, stream), std::vector{2});
  }
  checkpoint.stream = codec::random_id();
  auto stream = peers_->client.resume<int>(checkpoint);
  EXPECT_EQ(drain(*peers_, stream), std::vector{2});
  EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
}

TEST_F(Resumption, OfAStreamOfAnotherClientIsRefused) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  auto stream = peers_->client.observe<int>("counter", "value");
  EXPECT_EQ(drain(*peers_, stream), std::vector{0});
  Peers thief({.registry = &registry_}, {.client = codec::random_id()});
  auto stolen = thief.client.resume<int>(stream.checkpoint());
  EXPECT_EQ(drain(thief, stolen), std::vector<int>{});
  EXPECT_EQ(stolen.failure_text(), "stream of another client");
  state = 1;
  EXPECT_EQ(drain(*peers_, stream), std::vector{1});  // untouched
}

TEST_F(Resumption, TakesAStreamOverFromAConnectionThatIsNotKnownToBeDead) {
  ObservableState<int> state(0);
  actor_.state("value", state);
  connect(client_);
  auto stream = peers_->client.observe<int>("counter", "value");
  EXPECT_EQ(drain(*peers_, stream), std::vector{0});
  Peers again({.registry = &registry_}, {.client = client_});
  auto resumed = again.client.resume<int>(stream.checkpoint());
  state = 1;
  EXPECT_EQ(drain(again, resumed), std::vector{1});
  disconnect();
  state = 2;
  EXPECT_EQ(drain(again, resumed), std::vector{2});
}

TEST_F(Resumption, OfACheckpointThatIsNoStreamsIsRefused) {
  connect(client_);
  StreamCheckpoint checkpoint;
  checkpoint.target = "something else";
  EXPECT_THROW((void)peers_->client.resume<int>(checkpoint), error);
}

}  // namespace
}  // namespace sluice
