// States that are loaded at the start, saved with each change, and streamed.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peers.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::MemoryStateStore;
using codec::SaveOrder;
using codec::StatefulActor;
using codec::StateVersion;
using codec::VersionConflict;

/// A store that fails when it is told to: before it saves, or behind that.
class FailingStore final : public codec::StateStore {
 public:
  std::optional<codec::StoredState> load_with_version(std::string_view key) const override {
    return inner.load_with_version(key);
  }
  bool exists(std::string_view key) const override { return inner.exists(key); }
  bool remove(std::string_view key) override { return inner.remove(key); }

  MemoryStateStore inner;
  bool fail_before = false;
  bool fail_behind = false;

 private:
  StateVersion replace(std::string_view key, std::span<const std::byte> state,
                       std::optional<StateVersion> expected) override {
    if (fail_before) throw std::runtime_error("no connection");
    const StateVersion saved =
        expected ? inner.save_if_version(key, state, *expected) : inner.save(key, state);
    if (fail_behind) throw std::runtime_error("no answer");
    return saved;
  }
};

class Stateful : public ::testing::TestWithParam<SaveOrder> {
 protected:
  codec::StatefulOptions options() const { return {.order = GetParam()}; }
  std::vector<int> seen(codec::Observed<int>& stream) {
    std::vector<int> values;
    for (;;) {
      (void)peers_.server.poll();
      (void)peers_.client.poll();
      const int* const value = stream.try_next();
      if (value == nullptr) return values;
      values.push_back(*value);
    }
  }

  const test::Watchdog watchdog_{60s, "stored states"};
  FailingStore store_;
  codec::Registry registry_;
  test::Peers peers_{{.registry = &registry_}};
};

INSTANTIATE_TEST_SUITE_P(Orders, Stateful,
                         ::testing::Values(SaveOrder::save_then_stream, SaveOrder::stream_then_save),
                         [](const auto& order) {
                           return std::string(order.param == SaveOrder::save_then_stream ? "SaveThenStream"
                                                                                         : "StreamThenSave");
                         });

TEST_P(Stateful, BeginsWithWhatIsStoredAndStoresEachUpdate) {
  {
    StatefulActor<int> actor(store_, "count", 7, options());
    EXPECT_EQ(actor.get(), 7);
    EXPECT_EQ(actor.version(), 0U);
    EXPECT_FALSE(store_.exists("count"));
    actor.update([](int& count) { ++count; });
    EXPECT_EQ(codec::load<int>(store_, "count"), 8);
  }
  StatefulActor<int> again(store_, "count", 7, options());
  EXPECT_EQ(again.get(), 8);
  EXPECT_EQ(again.version(), 1U);
}

TEST_P(Stateful, StreamsEachUpdate) {
  StatefulActor<int> actor(store_, "count", 0, options());
  registry_.actor("counter").state("count", actor.state());
  auto stream = peers_.client.observe<int>("counter", "count");
  EXPECT_EQ(seen(stream), std::vector{0});
  actor.update([](int& count) { count = 1; });
  actor.update([](int& count) { count = 2; });
  EXPECT_EQ(seen(stream), (std::vector{1, 2}));
}

TEST_P(Stateful, AnUpdateThatThrowsChangesNothing) {
  StatefulActor<std::vector<int>> actor(store_, "list", {1}, options());
  EXPECT_THROW(actor.update([](std::vector<int>& list) {
    list.push_back(2);
    throw std::runtime_error("half of it");
  }),
               std::runtime_error);
  EXPECT_EQ(actor.get(), std::vector<int>{1});
  EXPECT_FALSE(store_.exists("list"));
}

TEST_P(Stateful, AStoreThatFailsLeavesTheStateAsItIsOrAsItWasSaved) {
  StatefulActor<int> actor(store_, "count", 0, options());
  registry_.actor("counter").state("count", actor.state());
  auto stream = peers_.client.observe<int>("counter", "count");
  const auto increment = [](int& count) { ++count; };
  actor.update(increment);
  store_.fail_before = true;
  EXPECT_THROW(actor.update(increment), std::runtime_error);
  EXPECT_EQ(actor.get(), 1);
  store_.fail_before = false;
  store_.fail_behind = true;  // it is saved, but nobody says so
  EXPECT_THROW(actor.update(increment), std::runtime_error);
  store_.fail_behind = false;
  actor.update(increment);  // begins with what is stored
  EXPECT_EQ(actor.get(), 3);
  EXPECT_EQ(codec::load<int>(store_, "count"), 3);
  EXPECT_EQ(seen(stream).back(), 3);
}

TEST_P(Stateful, AConflictCarriesBothVersionsAndARetryTakesTheOthersState) {
  StatefulActor<int> one(store_, "count", 0, options());
  StatefulActor<int> other(store_, "count", 0, options());
  const auto increment = [](int& count) { ++count; };
  other.update(increment);
  other.update(increment);
  try {
    one.update(increment);
    FAIL();
  } catch (const VersionConflict& conflict) {
    EXPECT_EQ(conflict.expected(), 0U);
    EXPECT_EQ(conflict.actual(), 2U);
  }
  EXPECT_EQ(one.get(), 0);
  one.update_with_retry(increment);
  EXPECT_EQ(one.get(), 3);
  EXPECT_THROW(other.save_if_version(17, 2), VersionConflict);
  other.reload();
  EXPECT_EQ(other.get(), 3);
  other.save_if_version(17, 3);
  EXPECT_EQ(codec::load<int>(store_, "count"), 17);
}

TEST_P(Stateful, ThreadsThatShareAStoreLoseNoUpdate) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      StatefulActor<int> actor(store_, "count", 0, options());
      for (int i = 0; i < 100; ++i)
        actor.update_with_retry([](int& count) { ++count; }, {.attempts = 10'000, .longest_wait = 1ms});
    });
  }
  threads.clear();
  EXPECT_EQ(codec::load<int>(store_, "count"), 300);
}

}  // namespace
}  // namespace sluice
