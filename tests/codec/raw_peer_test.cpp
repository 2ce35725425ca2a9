// Peers whose other side speaks frames as it likes, and callers that do the unexpected in the middle of something.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "live_peer.hpp"
#include "memory_journal.hpp"
#include "registry_state.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::FrameHead;
using codec::FrameKind;
using codec::Id;
using codec::LivePeer;
using codec::ObservableState;
using codec::Observed;
using codec::Outcome;
using codec::Peer;
using codec::SlowPolicy;

const std::vector<std::byte> kNothing{std::byte{0x90}};
const std::vector<std::byte> kNoOptions{std::byte{0x80}};

template <typename RawPort>
void say_hello(RawPort& raw, const Id& client = codec::random_id()) {
  FrameHead hello(FrameKind::hello, 6);
  hello.text(codec::kFramesName).number(codec::kFramesMajor).number(0).id(client).number(0);
  ASSERT_EQ(raw.post_message(hello.bytes()), Status::ok);
}

template <typename RawPort>
void start_stream(RawPort& raw, const Id& id, const std::vector<std::byte>& options = kNoOptions) {
  FrameHead start(FrameKind::stream_start, 5);
  start.id(id).text("counter").text("value");
  ASSERT_EQ(raw.post_parts_until(start.bytes(), options, kNoDeadline), Status::ok);
}

void answer(Port& raw, const Id& call) {
  FrameHead result(FrameKind::result, 3);
  result.id(call);
  const std::array value{std::byte{7}};
  ASSERT_EQ(raw.post_parts_until(result.bytes(), value, kNoDeadline), Status::ok);
}

/// The ids of what has come, if it is of this kind.
std::vector<Id> take_ids(Port& raw, FrameKind kind) {
  std::vector<Id> ids;
  while (const Message message = raw.try_receive()) {
    codec::FrameReader frame(message.bytes());
    (void)frame.array();
    if (frame.number() == static_cast<std::uint64_t>(kind)) ids.push_back(frame.id());
  }
  return ids;
}

class RawPeer : public ::testing::Test {
 protected:
  RawPeer() {
    actor_.state("value", state_);
    actor_.method("relay", [this] {
      ++relayed_;
      peer_->call("nobody", "answers");
    });
  }
  /// `peer_`, and the raw end of its port, which has said hello.
  Port& connect() {
    auto [port, raw] = make_port_pair();
    peer_ = std::make_unique<Peer>(std::move(port), codec::PeerOptions{.registry = &registry_});
    raw_.emplace(std::move(raw));
    say_hello(*raw_);
    return *raw_;
  }
  /// The same with what is inside of it.
  std::shared_ptr<LivePeer> connect_inside(const std::shared_ptr<codec::detail::RegistryState>& registry,
                                           const codec::PeerOptions& options = {}) {
    auto [port, raw] = make_port_pair();
    auto live = std::make_shared<LivePeer>(AnyPort(std::move(port)), options, registry);
    live->open();
    raw_.emplace(std::move(raw));
    say_hello(*raw_);
    return live;
  }

  const test::Watchdog watchdog_{60s, "hostile peers"};
  ObservableState<int> state_{0};
  codec::Registry registry_;
  codec::Actor& actor_ = registry_.actor("counter");
  std::unique_ptr<Peer> peer_;
  std::optional<Port> raw_;
  int relayed_ = 0;
};

TEST_F(RawPeer, CannotNestMethodsThatCallItBackWithoutEnd) {
  Port& raw = connect();
  FrameHead send(FrameKind::send, 4);
  send.text("counter").text("relay");
  for (int i = 0; i < 40; ++i)
    ASSERT_EQ(raw.post_parts_until(send.bytes(), kNothing, kNoDeadline), Status::ok);
  std::size_t calls = 0;
  std::thread closer([&] {
    std::this_thread::sleep_for(200ms);
    calls = take_ids(raw, FrameKind::call).size();
    raw.close();
  });
  (void)peer_->poll();
  closer.join();
  EXPECT_EQ(relayed_, 40);
  EXPECT_EQ(calls, 16U);
}

TEST_F(RawPeer, GetsNoFurtherItemOfAStreamThatStartsWhileItsPeerEnds) {
  const auto journal = std::make_shared<test::MemoryJournal>();
  ObservableState<int> recorded(0, {.journal = journal});
  const auto registry = std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{});
  registry->change([&](codec::detail::ActorTable& table) {
    table.actors["counter"].states.emplace("value", recorded.hub());
  });
  const auto live = connect_inside(registry);
  journal->when_sealed = [&] { live->close(); };  // as another thread may
  const Id id = codec::random_id();
  start_stream(*raw_, id);
  EXPECT_EQ(live->poll(), Status::closed);
  EXPECT_EQ(registry->streams.find(id), nullptr);
  live->shut_down();
}

TEST_F(RawPeer, GetsNoFurtherItemOfStreamsThatStartWhileAnotherThreadEndsItsPeer) {
  const auto registry = std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{});
  registry->change([&](codec::detail::ActorTable& table) {
    table.actors["counter"].states.emplace("value", state_.hub());
  });
  for (int round = 0; round < 50; ++round) {
    const auto live = connect_inside(registry);
    std::vector<Id> ids(30);
    for (Id& id : ids) {
      id = codec::random_id();
      start_stream(*raw_, id);
    }
    live->start();
    std::this_thread::sleep_for(std::chrono::microseconds(round * 4));
    live->shut_down();
    for (const Id& id : ids) {
      const auto stream = registry->streams.find(id);
      ASSERT_TRUE(stream == nullptr || stream->detached_since(Deadline::max())) << round;
    }
  }
}

TEST_F(RawPeer, OnAPipeThatItDoesNotReadMakesNothingGrow) {
  std::array<int, 2> there{};
  std::array<int, 2> back{};
  ASSERT_EQ(::pipe2(there.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(back.data(), O_CLOEXEC), 0);
  auto raw = wrap_native_port(Descriptor(there[0]), Descriptor(back[1]));
  ObservableState<std::string> large;
  actor_.state("value", large);
  const auto registry = std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{});
  registry->change([&](codec::detail::ActorTable& table) {
    table.actors["counter"].states.emplace("value", large.hub());
  });
  const auto live = std::make_shared<LivePeer>(
      AnyPort(wrap_native_port(Descriptor(back[0]), Descriptor(there[1]))), codec::PeerOptions{}, registry);
  live->open();
  say_hello(raw);
  // {"credit": 65536}
  start_stream(raw, codec::random_id(),
               {std::byte{0x81}, std::byte{0xa6}, std::byte{'c'}, std::byte{'r'}, std::byte{'e'},
                std::byte{'d'}, std::byte{'i'}, std::byte{'t'}, std::byte{0xce}, std::byte{0}, std::byte{1},
                std::byte{0}, std::byte{0}});
  live->start();
  while (live->served_streams() == 0) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 100; ++i) large = std::string(std::size_t{1} << 18U, 'x');
  EXPECT_LT(live->kept_bytes(), std::size_t{2} << 20U);
  raw.close();  // or the end would wait for it
  live->shut_down();
}

TEST_F(RawPeer, LeavesNothingOfStreamsThatItDrops) {
  const auto registry = std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{});
  registry->change([&](codec::detail::ActorTable& table) {
    table.actors["counter"].states.emplace("value", state_.hub());
  });
  const auto live = connect_inside(registry);
  // {"filter": ["rate_limit", {"interval": 86400}]}
  codec::detail::PackBuffer options;
  msgpack::packer<codec::detail::PackBuffer> packer(options);
  packer.pack_map(1);
  packer.pack("filter");
  packer.pack(codec::Filter::rate_limit(24h));
  const Id id = codec::random_id();
  start_stream(*raw_, id, {options.bytes().begin(), options.bytes().end()});
  (void)live->poll();
  const std::weak_ptr<codec::ServedStream> stream = registry->streams.find(id);
  ASSERT_FALSE(stream.expired());
  state_ = 1;  // due tomorrow
  FrameHead unsubscribe(FrameKind::unsubscribe, 2);
  unsubscribe.id(id);
  ASSERT_EQ(raw_->post_message(unsubscribe.bytes()), Status::ok);
  (void)live->poll();
  EXPECT_TRUE(stream.expired());
  live->shut_down();
}

TEST_F(RawPeer, ThatUsesAStreamsIdAgainTakesNoOtherStreamsPlace) {
  const auto registry =
      std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{.max_retained_streams = 1});
  registry->change([&](codec::detail::ActorTable& table) {
    table.actors["counter"].states.emplace("value", state_.hub());
  });
  const Id id = codec::random_id();
  const auto detach = [&](const Id& stream) {
    const auto live = connect_inside(registry);
    start_stream(*raw_, stream);
    (void)live->poll();
    live->shut_down();
  };
  detach(id);
  registry->streams.forget(*registry->streams.find(id));
  const auto live = connect_inside(registry);
  start_stream(*raw_, id);
  (void)live->poll();
  const auto kept_raw = std::move(raw_);
  detach(codec::random_id());  // the place of the first stream of that id is needed
  detach(codec::random_id());
  EXPECT_NE(registry->streams.find(id), nullptr);
  live->shut_down();
}

TEST_F(RawPeer, ThatBeginsAnewIsServedThoughACallbackOfTheOldCallsWaits) {
  Port& raw = connect();
  (void)peer_->poll();
  peer_->call_async<int>("a", "b").then([&](const Outcome<int>& /*over*/) {
    EXPECT_THROW(peer_->call<int>({.timeout = 50ms}, "a", "b"), error);
  });
  say_hello(raw);
  start_stream(raw, codec::random_id());
  (void)peer_->poll();
  for (int i = 1; i <= 3; ++i) state_ = i;
  EXPECT_EQ(take_ids(raw, FrameKind::stream_data).size(), 4U);
}

TEST_F(RawPeer, ThatBeginsAnewEndsNoCallThatBeginsThen) {
  Port& raw = connect();
  (void)peer_->poll();
  std::string became;
  peer_->call_async<int>("a", "old").then([&](const Outcome<int>& over) {
    became += over ? "?" : "over ";
    for (int i = 0; i < 2; ++i)
      peer_->call_async<int>("a", "new").then([&](const Outcome<int>& sum) {
        became += sum ? "ok " : "over ";
      });
  });
  (void)take_ids(raw, FrameKind::call);
  say_hello(raw);
  (void)peer_->poll();
  for (const Id& call : take_ids(raw, FrameKind::call)) answer(raw, call);
  (void)peer_->poll();
  EXPECT_EQ(became, "over ok ok ");
}

TEST_F(RawPeer, ACallbackThatThrowsWhenTheCallIsOverEndsNothingElse) {
  Port& raw = connect();
  int told = 0;
  peer_->call_async<int>("a", "b").then([&](const Outcome<int>& /*over*/) {
    ++told;
    throw std::runtime_error("a callback's");
  });
  peer_->call_async<int>("a", "b").then([&](const Outcome<int>& /*over*/) {
    ++told;
    throw 42;
  });
  raw.close();
  EXPECT_EQ(peer_->run(), Status::closed);
  EXPECT_EQ(told, 2);
}

TEST_F(RawPeer, AStreamsCallbackMayThrowAnything) {
  auto [port, other] = make_port_pair();
  Peer server(std::move(port), {.registry = &registry_});
  Peer client(std::move(other));
  auto stream = client.observe<int>("counter", "value");
  stream.on_value([](int /*value*/) { throw 42; });
  ASSERT_EQ(server.poll(), Status::ok);
  EXPECT_EQ(client.poll(), Status::ok);
  EXPECT_EQ(stream.failure_text(), "an unknown exception");
}

TEST_F(RawPeer, ACallbackIsNotCalledAgainOnceItHasDestroyedItsStream) {
  auto [port, other] = make_port_pair();
  Peer server(std::move(port), {.registry = &registry_});
  Peer client(std::move(other));
  std::optional<Observed<int>> stream(client.observe<int>("counter", "value", {.slow = SlowPolicy::block}));
  ASSERT_EQ(server.poll(), Status::ok);
  for (int i = 1; i < 5; ++i) state_ = i;
  ASSERT_EQ(client.poll(), Status::ok);  // several have arrived
  int calls = 0;
  stream->on_value([&](int /*value*/) {
    ++calls;
    stream.reset();
  });
  EXPECT_EQ(calls, 1);
}

TEST_F(RawPeer, AStreamThatIsDestroyedWhileAnItemArrivesHangsNobody) {
  const auto live = connect_inside(std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{}));
  const auto stream =
      live->observe(codec::ObserveOptions().start("counter", "value", codec::DeltaKind::generic));
  stream->arrived.emplace_back();  // it has come
  live->unsubscribe(*stream, true);
  int calls = 0;
  live->call_on_arrival(stream, [&] {  // whom this would read for is gone
    if (++calls == 100) throw std::runtime_error("called for ever");
  });
  EXPECT_EQ(calls, 1);
  live->shut_down();
}

TEST_F(RawPeer, APeerMayBeDestroyedByAMethodWhileItIsPolled) {
  for (const bool waits : {false, true}) {
    Port& raw = connect();
    actor_.method("end", [&] { peer_.reset(); });
    (void)peer_->poll();
    FrameHead send(FrameKind::send, 4);
    send.text("counter").text("end");
    ASSERT_EQ(raw.post_parts_until(send.bytes(), kNothing, kNoDeadline), Status::ok);
    EXPECT_EQ(waits ? peer_->run() : peer_->poll(), Status::closed);
    EXPECT_EQ(peer_, nullptr);
  }
}

}  // namespace
}  // namespace sluice
