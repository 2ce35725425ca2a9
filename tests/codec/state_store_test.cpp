// What every store of states promises, and the typed calls on top of them.
#include "sluice/codec/state_store.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "sluice/codec/timestamp.hpp"
#include "sluice/codec/typed_state.hpp"
#include "state_stores.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using codec::StateVersion;
using codec::VersionConflict;

/// Success if `body` throws the conflict of these two.
template <class Body>
::testing::AssertionResult conflicts(StateVersion expected, StateVersion actual, Body body) {
  try {
    body();
  } catch (const VersionConflict& conflict) {
    if (conflict.expected() == expected && conflict.actual() == actual &&
        conflict.code() == codec::errc::version_conflict)
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << conflict.what();
  }
  return ::testing::AssertionFailure() << "no conflict";
}

class StateStores : public ::testing::TestWithParam<StoreKind> {
 protected:
  Watchdog watchdog_{120s, "a store of states"};
  FreshStore store_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Every, StateStores, ::testing::ValuesIn(store_kinds()), name_of);

TEST_P(StateStores, GiveBackWhatWasSavedByteForByte) {
  EXPECT_FALSE(store_->load("orders"));
  EXPECT_FALSE(store_->exists("orders"));
  for (const std::size_t bytes : {0U, 1U, 7U, 8U, 4096U, 65'528U, 65'536U, 1'000'000U}) {
    const Bytes state = scratch::pattern(bytes);
    const StateVersion version = store_->save("orders", state);
    EXPECT_TRUE(store_->exists("orders"));
    EXPECT_EQ(store_->load("orders"), state) << bytes;
    const auto stored = store_->load_with_version("orders");
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->version, version);
    EXPECT_EQ(stored->bytes, state);
  }
}

TEST_P(StateStores, KeepKeysApart) {
  store_->save("a", to_bytes("one"));
  store_->save("A", to_bytes("two"));
  store_->save("a.state", to_bytes("three"));
  store_->save("versions", to_bytes("four"));
  EXPECT_TRUE(store_->remove("versions"));
  EXPECT_EQ(store_->load("a"), to_bytes("one"));
  EXPECT_EQ(store_->load("A"), to_bytes("two"));
  EXPECT_EQ(store_->load("a.state"), to_bytes("three"));
  EXPECT_FALSE(store_->exists("versions"));
}

TEST_P(StateStores, SaveOnlyOverTheVersionThatIsExpected) {
  EXPECT_TRUE(conflicts(3, 0, [&] { store_->save_if_version("orders", to_bytes("x"), 3); }));
  EXPECT_FALSE(store_->exists("orders"));
  const StateVersion first = store_->save_if_version("orders", to_bytes("first"), 0);
  EXPECT_GT(first, 0U);
  EXPECT_TRUE(conflicts(0, first, [&] { store_->save_if_version("orders", to_bytes("x"), 0); }));
  const StateVersion second = store_->save_if_version("orders", to_bytes("second"), first);
  EXPECT_GT(second, first);
  EXPECT_TRUE(conflicts(first, second, [&] { store_->save_if_version("orders", to_bytes("x"), first); }));
  EXPECT_EQ(store_->load("orders"), to_bytes("second"));
  EXPECT_GT(store_->save("orders", to_bytes("third")), second);
}

TEST_P(StateStores, SayBothVersionsInWords) {
  const StateVersion version = store_->save("orders", to_bytes("x"));
  EXPECT_TRUE(throws(codec::errc::version_conflict,
                     "state \"orders\": expected version 9, got version " + std::to_string(version),
                     [&] { store_->save_if_version("orders", {}, 9); }));
  EXPECT_TRUE(throws(codec::errc::version_conflict, "expected no state, got version",
                     [&] { store_->save_if_version("orders", {}, 0); }));
}

TEST_P(StateStores, NeverGiveAVersionASecondTime) {
  StateVersion last = 0;
  for (int round = 0; round < 4; ++round) {
    for (int save = 0; save < 3; ++save) {
      const StateVersion version = store_->save("orders", {});
      EXPECT_GT(version, last);
      last = version;
    }
    EXPECT_TRUE(store_->remove("orders"));
    EXPECT_FALSE(store_->remove("orders"));
    EXPECT_FALSE(store_->exists("orders"));
    EXPECT_TRUE(conflicts(last, 0, [&] { store_->save_if_version("orders", {}, last); }));
    // What others do meanwhile doesn't take the memory of it away.
    store_->save("another", {});
    store_->remove("another");
  }
}

TEST_P(StateStores, RefuseKeysThatAreNoNames) {
  const std::vector<std::string> bad{
      "", ".hidden", "..", "a/b", "../a", "a b", std::string("a\0b", 3), "ä", std::string(65, 'k')};
  for (const std::string& key : bad) {
    EXPECT_TRUE(throws(errc::bad_name, "state key", [&] { store_->save(key, {}); })) << key;
    EXPECT_TRUE(throws(errc::bad_name, "state key", [&] { store_->save_if_version(key, {}, 0); })) << key;
    EXPECT_TRUE(throws(errc::bad_name, "state key", [&] { store_->load(key); })) << key;
    EXPECT_TRUE(throws(errc::bad_name, "state key", [&] { store_->exists(key); })) << key;
    EXPECT_TRUE(throws(errc::bad_name, "state key", [&] { store_->remove(key); })) << key;
  }
  const std::string longest(64, 'k');
  store_->save(longest, to_bytes("x"));
  EXPECT_EQ(store_->load(longest), to_bytes("x"));
}

TEST_P(StateStores, TakeAStateOfTheLargestSizeAndNoMore) {
  const FreshStore small(GetParam(), 1000);
  const Bytes largest = scratch::pattern(1000);
  const StateVersion version = small->save("orders", largest);
  EXPECT_TRUE(throws(codec::errc::too_large, "at most 1000 bytes, got 1001",
                     [&] { small->save_if_version("orders", scratch::pattern(1001), version); }));
  EXPECT_EQ(small->load("orders"), largest);
}

TEST_P(StateStores, LoseNoIncrementOfSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr int kIncrements = 50;
  std::atomic<int> attempts{0};
  const auto count = [&] {
    for (int i = 0; i < kIncrements; ++i) {
      codec::update_with_retry<int>(*store_, "count",
                                    [&](int& value) {
                                      value += 1;
                                      ++attempts;
                                    },
                                    {.attempts = 100'000, .longest_wait = 10ms});
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(count);
  for (std::thread& thread : threads) thread.join();
  const auto stored = codec::load_with_version<int>(*store_, "count");
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->value, kThreads * kIncrements);
  EXPECT_EQ(stored->version, static_cast<StateVersion>(kThreads * kIncrements));
  EXPECT_GE(attempts.load(), kThreads * kIncrements);
}

TEST_P(StateStores, AreRefusedInAForkedChildAndStay) {
  store_->save("orders", to_bytes("parent's"));
  ChildProcess child([&] {
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { store_->save("orders", {}); }));
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { store_->load("orders"); }));
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { store_->exists("orders"); }));
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { store_->remove("orders"); }));
  });
  const auto status = child.wait_for(30s);
  EXPECT_TRUE(status && status->ok());
  EXPECT_EQ(store_->load("orders"), to_bytes("parent's"));
}

struct Todos {
  std::vector<std::string> items{};
  std::uint64_t done = 0;
  MSGPACK_DEFINE(items, done)
};

TEST_P(StateStores, KeepValues) {
  EXPECT_FALSE(codec::load<Todos>(*store_, "todos"));
  const StateVersion version = codec::save(*store_, "todos", Todos{{"milk", "bread"}, 3});
  const auto todos = codec::load_with_version<Todos>(*store_, "todos");
  ASSERT_TRUE(todos);
  EXPECT_EQ(todos->value.items, (std::vector<std::string>{"milk", "bread"}));
  EXPECT_EQ(todos->value.done, 3U);
  EXPECT_EQ(todos->version, version);
  EXPECT_TRUE(conflicts(0, version, [&] { codec::save_if_version(*store_, "todos", Todos{}, 0); }));
  EXPECT_GT(codec::save_if_version(*store_, "todos", Todos{}, version), version);
  EXPECT_TRUE(codec::load<Todos>(*store_, "todos")->items.empty());
}

TEST_P(StateStores, SayThatAStateIsNoValueOfThatType) {
  codec::save(*store_, "todos", std::string("text"));
  EXPECT_TRUE(throws(codec::errc::wrong_type, "Todos", [&] { codec::load<Todos>(*store_, "todos"); }));
  store_->save("todos", to_bytes("\xc1"));
  EXPECT_TRUE(throws(codec::errc::undefined_byte, "", [&] { codec::load<Todos>(*store_, "todos"); }));
}

TEST_P(StateStores, SaveNoValueThatCouldNotBeLoaded) {
  codec::save(*store_, "todos", Todos{{"milk"}, 1});
  const Todos long_list{std::vector<std::string>(100, "x"), 0};
  EXPECT_TRUE(throws(codec::errc::too_many_elements, "at most 50",
                     [&] { codec::save(*store_, "todos", long_list, {.max_elements = 50}); }));
  EXPECT_TRUE(throws(codec::errc::bad_timestamp, "", [&] {
    codec::save(*store_, "todos", codec::Timestamp{1LL << 40, 0});
  }));
  EXPECT_EQ(codec::load<Todos>(*store_, "todos")->items.size(), 1U);
}

TEST_P(StateStores, UpdateBeginsWithADefaultAndReturnsWhatWasSaved) {
  const auto first =
      codec::update<Todos>(*store_, "todos", [](Todos& todos) { todos.items.emplace_back("milk"); });
  EXPECT_EQ(first.value.items.size(), 1U);
  const auto second =
      codec::update<Todos>(*store_, "todos", [](Todos& todos) { todos.items.emplace_back("bread"); });
  EXPECT_GT(second.version, first.version);
  EXPECT_EQ(codec::load<Todos>(*store_, "todos")->items, second.value.items);
}

TEST_P(StateStores, SaveNothingWhenTheUpdateThrows) {
  codec::save(*store_, "todos", Todos{{"milk"}, 1});
  EXPECT_THROW(codec::update_with_retry<Todos>(*store_, "todos",
                                               [](Todos& todos) {
                                                 todos.items.clear();
                                                 throw std::domain_error("no");
                                               }),
               std::domain_error);
  EXPECT_EQ(codec::load<Todos>(*store_, "todos")->items.size(), 1U);
}

TEST_P(StateStores, UpdateOnceOrUntilNobodyElseSavesMeanwhile) {
  int disturbances = 3;
  int attempts = 0;
  const auto add = [&](Todos& todos) {
    ++attempts;
    todos.done += 10;
    if (disturbances-- > 0)
      codec::save(*store_, "todos",
                  Todos{{}, codec::load<Todos>(*store_, "todos").value_or(Todos{}).done + 1});
  };
  EXPECT_TRUE(conflicts(0, 1, [&] { codec::update<Todos>(*store_, "todos", add); }));
  const auto stored = codec::update_with_retry<Todos>(*store_, "todos", add);
  EXPECT_EQ(stored.value.done, 3U + 10U);
  EXPECT_EQ(attempts, 4);
}

TEST_P(StateStores, GiveUpAfterTheLastAttemptAndAtTheDeadline) {
  int attempts = 0;
  const auto disturbed = [&](int& value) {
    ++attempts;
    codec::save(*store_, "count", ++value);
  };
  EXPECT_TRUE(
      conflicts(2, 3, [&] { codec::update_with_retry<int>(*store_, "count", disturbed, {.attempts = 3}); }));
  EXPECT_EQ(attempts, 3);
  const auto deadline = deadline_in(50ms);
  EXPECT_TRUE(throws(errc::timed_out, "attempts: state \"count\": expected version", [&] {
    codec::update_with_retry<int>(*store_, "count", disturbed,
                                  {.attempts = 1000, .longest_wait = 5ms, .deadline = deadline});
  }));
  EXPECT_TRUE(throws(errc::bad_option, "attempts",
                     [&] { codec::update_with_retry<int>(*store_, "count", disturbed, {.attempts = 0}); }));
  EXPECT_TRUE(throws(errc::bad_option, "first_wait", [&] {
    codec::update_with_retry<int>(*store_, "count", disturbed, {.first_wait = 2s});
  }));
}

/// Random calls against the simplest model there is.
TEST_P(StateStores, DoWhatAMapWithCountersDoes) {
  struct Model {
    Bytes state;
    StateVersion version = 0;  // 0: none
    StateVersion last = 0;     // the largest there was
  };
  std::map<std::string, Model> models;
  std::uint32_t random = 1;
  const auto next = [&](std::uint32_t limit) {
    return (random = random * 1664525U + 1013904223U) / 65536U % limit;
  };
  for (int i = 0; i < 1000; ++i) {
    const std::string key(1, static_cast<char>('a' + next(4)));
    Model& model = models[key];
    const Bytes state = scratch::pattern(next(200), 1 + static_cast<std::uint32_t>(i));
    const auto saved = [&](StateVersion version) {
      ASSERT_GT(version, model.last);
      model = {state, version, version};
    };
    switch (next(6)) {
      case 0:
        saved(store_->save(key, state));
        break;
      case 1:
        saved(store_->save_if_version(key, state, model.version));
        break;
      case 2:
        ASSERT_TRUE(conflicts(model.version + 1, model.version,
                              [&] { store_->save_if_version(key, state, model.version + 1); }));
        break;
      case 3:
        ASSERT_EQ(store_->remove(key), model.version != 0);
        model.version = 0;
        break;
      default:
        const auto stored = store_->load_with_version(key);
        ASSERT_EQ(stored.has_value(), model.version != 0);
        ASSERT_EQ(store_->exists(key), stored.has_value());
        if (stored) {
          ASSERT_EQ(stored->version, model.version);
          ASSERT_EQ(stored->bytes, model.state);
        }
    }
  }
}

}  // namespace
}  // namespace sluice::test
