// States with a journal: what becomes of their streams when client or server are gone and come back.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "memory_journal.hpp"
#include "peers.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::Filter;
using codec::ObservableState;
using codec::ObserveOptions;
using codec::Peer;
using codec::SlowPolicy;
using codec::StreamVerdict;
using codec::Verdict;
using test::MemoryJournal;
using test::Peers;

/// A server that can begin anew over the same journal, as one does that was killed.
template <typename T>
class Server {
 public:
  explicit Server(std::shared_ptr<MemoryJournal> kept, T first = {})
      : journal(std::move(kept)),
        state(codec::newest_value<T>(*journal).value_or(std::move(first)), options()) {
    registry.actor("counter").state("value", state);
  }

  const std::shared_ptr<MemoryJournal> journal;
  ObservableState<T> state;
  codec::Registry registry;

 private:
  codec::StateOptions options() const { return {.retained_items = 4, .retention = 1ms, .journal = journal}; }
};

class JournaledStreams : public ::testing::Test {
 protected:
  /// The server is killed, and its successor runs. (What it sent is lost, if the client hasn't taken it.)
  void restart() {
    peers_.reset();
    server_.reset();
    server_.emplace(journal_);
  }
  Peer& connect() {
    peers_.reset();
    PortOptions small;
    small.ring_bytes = 1 << 16;
    peers_.emplace(codec::PeerOptions{.registry = &server_->registry}, codec::PeerOptions{.client = client_},
                   small);
    return peers_->client;
  }
  template <typename T>
  std::vector<T> drain(codec::Observed<T>& stream) {
    std::vector<T> values;
    for (;;) {
      for (int i = 0; i < 4; ++i) {
        (void)peers_->server.poll();
        (void)peers_->client.poll();
      }
      const T* const value = stream.try_next();
      if (value == nullptr) return values;
      values.push_back(*value);
    }
  }
  void count_to(int last) {
    while (server_->state.get() < last) server_->state.update([](int& value) { ++value; });
  }
  static std::vector<int> from_to(int first, int last) {
    std::vector<int> all;
    for (int value = first; value <= last; ++value) all.push_back(value);
    return all;
  }
  /// Of a client that takes 0 to `last`.
  StreamCheckpoint checkpoint_behind(int last, const ObserveOptions& options = {.slow = SlowPolicy::block}) {
    auto stream = connect().observe<int>("counter", "value", options);
    (void)drain(stream);
    for (int value = 1; value <= last; ++value) {
      server_->state = value;
      (void)drain(stream);
    }
    const auto checkpoint = stream.checkpoint();
    peers_.reset();
    return checkpoint;
  }

  const test::Watchdog watchdog_{60s, "journaled streams"};
  const std::shared_ptr<MemoryJournal> journal_ = std::make_shared<MemoryJournal>();
  std::optional<Server<int>> server_{std::in_place, journal_};
  std::optional<Peers> peers_;
  const codec::Id client_ = codec::random_id();
};

TEST_F(JournaledStreams, GoOnInTheNextProcessWithEverythingThatTheyMissed) {
  const auto checkpoint = checkpoint_behind(3);
  count_to(60);  // more than any buffer holds
  restart();
  count_to(65);
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), from_to(4, 65));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 5, 66}));
  EXPECT_EQ(stream.sequence(), 66U);
  server_->state = 66;
  EXPECT_EQ(drain(stream), std::vector{66});
}

TEST_F(JournaledStreams, GoOnInTheSameProcessBeyondItsRetention) {
  const auto checkpoint = checkpoint_behind(3);
  peers_.reset();
  std::this_thread::sleep_for(2ms);
  count_to(60);
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), from_to(4, 60));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 5, 61}));
}

TEST_F(JournaledStreams, OfAClientThatIsUpToDateBringNothingTwice) {
  const auto checkpoint = checkpoint_behind(3);
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), std::vector<int>{});
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 5, 4}));
  server_->state = 4;
  EXPECT_EQ(drain(stream), std::vector{4});
  EXPECT_EQ(stream.sequence(), 5U);
}

TEST_F(JournaledStreams, OfAClientThatHasTakenNothingBeginWithTheirFirstItem) {
  count_to(5);
  StreamCheckpoint checkpoint;
  {
    auto stream = connect().observe<int>("counter", "value");
    for (int i = 0; i < 4; ++i) {
      (void)peers_->server.poll();
      (void)peers_->client.poll();
    }
    checkpoint = stream.checkpoint();
  }
  count_to(7);
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), from_to(5, 7));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 1, 3}));
}

TEST_F(JournaledStreams, SayExactlyWhatIsGoneWhenTheJournalHasPrunedIt) {
  const auto checkpoint = checkpoint_behind(3);
  count_to(60);
  journal_->keep(10);
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), std::vector{60});
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::gap, 5, 61}));
  EXPECT_EQ(stream.sequence(), 62U);
  count_to(62);
  EXPECT_EQ(drain(stream), from_to(61, 62));
  // And once more, behind the gap.
  const auto later = stream.checkpoint();
  count_to(64);
  restart();
  auto again = connect().resume<int>(later);
  EXPECT_EQ(drain(again), from_to(63, 64));
  EXPECT_EQ(again.verdict(), (Verdict{StreamVerdict::resumed, 65, 66}));
}

TEST_F(JournaledStreams, MissNothingWhenTheFirstItemThatIsMissedIsTheOldestInTheJournal) {
  const auto checkpoint = checkpoint_behind(3);
  count_to(10);
  journal_->keep(7);  // 4 to 10
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), from_to(4, 10));
  journal_->keep(6);
  restart();
  auto again = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(again), std::vector{10});
  EXPECT_EQ(again.verdict(), (Verdict{StreamVerdict::gap, 5, 11}));
}

TEST_F(JournaledStreams, KeepTheirFilter) {
  const ObserveOptions options{.slow = SlowPolicy::block,
                               .filter = Filter::threshold(10, {.mode = codec::ThresholdMode::crossing})};
  auto first = connect().observe<int>("counter", "value", options);
  EXPECT_EQ(drain(first), std::vector<int>{});
  for (const int value : {12, 13, 5}) server_->state = value;
  EXPECT_EQ(drain(first), std::vector{12});
  const auto checkpoint = first.checkpoint();
  peers_.reset();
  for (const int value : {14, 15, 3, 16, 17}) server_->state = value;
  restart();
  server_->state = 18;
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), (std::vector{14, 16}));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 3}));
  for (const int value : {19, 1, 20}) server_->state = value;
  EXPECT_EQ(drain(stream), std::vector{20});
  EXPECT_EQ(stream.sequence(), 4U);
}

TEST_F(JournaledStreams, CompareWithTheItemThatTheClientHas) {
  const auto checkpoint = checkpoint_behind(3, {.slow = SlowPolicy::block, .filter = Filter::changed()});
  for (const int value : {3, 3, 4, 4}) server_->state = value;
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), std::vector{4});
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 5, 5}));
}

TEST_F(JournaledStreams, KeepTheirDeltas) {
  using Table = std::map<std::string, int>;
  Table table;
  for (int i = 0; i < 100; ++i) table["field " + std::to_string(i)] = i;
  const auto journal = std::make_shared<MemoryJournal>(7);
  std::optional<Server<Table>> server(std::in_place, journal, table);
  std::optional<Peers> peers;
  const auto connect_to = [&] {
    peers.reset();
    peers.emplace(codec::PeerOptions{.registry = &server->registry}, codec::PeerOptions{.client = client_});
  };
  const auto take_all = [&](codec::Observed<Table>& stream) {
    std::vector<int> seen;
    for (;;) {
      for (int i = 0; i < 4; ++i) {
        (void)peers->server.poll();
        (void)peers->client.poll();
      }
      const Table* const value = stream.try_next();
      if (value == nullptr) return seen;
      seen.push_back(value->at("field 3"));
    }
  };
  const auto set = [&](int value) { server->state.update([&](Table& all) { all["field 3"] = value; }); };
  StreamCheckpoint checkpoint;
  {
    connect_to();
    auto stream =
        peers->client.observe<Table>("counter", "value", {.slow = SlowPolicy::block, .delta = true});
    set(11);
    EXPECT_EQ(take_all(stream), std::vector{11});
    checkpoint = stream.checkpoint();
  }
  for (const int value : {11, 12, 12, 13}) set(value);  // the same again is no change
  peers.reset();
  server.reset();
  server.emplace(journal);
  connect_to();
  auto stream = peers->client.resume<Table>(checkpoint);
  EXPECT_EQ(take_all(stream), (std::vector{12, 13}));
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 3}));
  set(14);
  EXPECT_EQ(take_all(stream), std::vector{14});
}

TEST_F(JournaledStreams, HaveWhatARateLimitWouldHaveLetThrough) {
  auto first = connect().observe<int>("counter", "value", {.filter = Filter::rate_limit(1h)});
  EXPECT_EQ(drain(first), std::vector{0});
  const auto checkpoint = first.checkpoint();
  count_to(50);
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), std::vector<int>{});  // the newest waits for its hour
  EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 2, 1}));
}

TEST_F(JournaledStreams, CatchUpWithinTheirCreditWhileTheStateGoesOn) {
  const auto checkpoint = checkpoint_behind(3, {.slow = SlowPolicy::block, .window = 2});
  count_to(200);
  restart();
  auto stream = connect().resume<int>(checkpoint);
  std::vector<int> seen;
  for (int i = 0; i < 2000 && (seen.empty() || seen.back() < 250); ++i) {
    (void)peers_->server.poll();
    (void)peers_->client.poll();
    if (i % 3 == 0 && server_->state.get() < 250) count_to(server_->state.get() + 1);
    if (const int* const value = stream.try_next()) seen.push_back(*value);
  }
  EXPECT_EQ(seen, from_to(4, 250));
  EXPECT_EQ(stream.sequence(), 251U);
}

TEST_F(JournaledStreams, ThatReadAValueBeforeTheyAreToldOfItBringItOnce) {
  const auto checkpoint = checkpoint_behind(3, {.slow = SlowPolicy::block, .window = 2});
  count_to(10);
  auto stream = connect().resume<int>(checkpoint);
  std::vector<int> seen;
  const auto take = [&] {
    for (int i = 0; i < 50; ++i) {
      (void)peers_->server.poll();
      (void)peers_->client.poll();
      if (const int* const value = stream.try_next()) seen.push_back(*value);
    }
  };
  (void)peers_->server.poll();  // it has begun to read
  journal_->when_recorded = [&] { take(); };
  server_->state = 11;
  journal_->when_recorded = nullptr;
  EXPECT_EQ(seen, from_to(4, 11));
  server_->state = 12;
  take();
  EXPECT_EQ(seen, from_to(4, 12));
}

TEST_F(JournaledStreams, BringEachValueOnceThoughClientsComeAndGoWhileAThreadUpdates) {
  constexpr int kLast = 3000;
  std::jthread updater([&] { count_to(kLast); });
  StreamCheckpoint checkpoint;
  int last = -1;
  for (std::uint64_t taken = 0; last != kLast; ++taken) {
    Peer& client = connect();
    peers_->server.start();
    auto stream = taken == 0
                      ? client.observe<int>("counter", "value", {.slow = SlowPolicy::block, .window = 4})
                      : client.resume<int>(checkpoint);
    for (int i = 0; i < 400 && last != kLast; ++i) {
      const int* const value = stream.next();
      ASSERT_NE(value, nullptr) << stream.failure_text();
      if (last >= 0) {
        ASSERT_EQ(*value, last + 1);
      }
      last = *value;
    }
    checkpoint = stream.checkpoint();
  }
}

TEST_F(JournaledStreams, OfAnotherClientAreNotGivenAway) {
  const auto checkpoint = checkpoint_behind(3);
  count_to(5);
  restart();
  Peers thief({.registry = &server_->registry}, {.client = codec::random_id()});
  auto stolen = thief.client.resume<int>(checkpoint);
  for (int i = 0; i < 4; ++i) {
    (void)thief.server.poll();
    (void)thief.client.poll();
  }
  ASSERT_NE(stolen.try_next(), nullptr);
  EXPECT_EQ(stolen.verdict(), Verdict{StreamVerdict::restarted});  // as any new stream
  EXPECT_EQ(stolen.sequence(), 1U);
  auto own = connect().resume<int>(checkpoint);  // and its owner still gets it
  EXPECT_EQ(drain(own), from_to(4, 5));
}

TEST_F(JournaledStreams, GiveNothingFromBeforeTheirBeginning) {
  count_to(50);
  auto checkpoint = checkpoint_behind(0);
  checkpoint.position -= 10;
  restart();
  auto stream = connect().resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), std::vector{50});
  EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
}

TEST_F(JournaledStreams, BeginAnewWithAnotherJournalOrOneThatLostItsEnd) {
  const auto checkpoint = checkpoint_behind(3);
  peers_.reset();
  server_.reset();
  const auto other = std::make_shared<MemoryJournal>(2);
  server_.emplace(other);
  count_to(9);
  {
    auto stream = connect().resume<int>(checkpoint);
    EXPECT_EQ(drain(stream), std::vector{9});
    EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
  }
  peers_.reset();
  server_.reset();
  server_.emplace(journal_);
  auto beyond = checkpoint;
  beyond.position += 1000;
  auto stream = connect().resume<int>(beyond);
  EXPECT_EQ(drain(stream), std::vector{3});
  EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
}

TEST_F(JournaledStreams, AreTakenOverFromAConnectionThatIsNotKnownToBeDead) {
  auto stream = connect().observe<int>("counter", "value", {.slow = SlowPolicy::block});
  EXPECT_EQ(drain(stream), std::vector{0});
  Peers again({.registry = &server_->registry}, {.client = client_});
  auto resumed = again.client.resume<int>(stream.checkpoint());
  for (int i = 0; i < 4; ++i) {
    (void)again.server.poll();
    (void)again.client.poll();
  }
  server_->state = 1;
  (void)again.client.poll();
  ASSERT_NE(resumed.try_next(), nullptr);
  EXPECT_EQ(resumed.sequence(), 2U);
  peers_.reset();  // ends the first connection only
  server_->state = 2;
  (void)again.client.poll();
  ASSERT_NE(resumed.try_next(), nullptr);
  EXPECT_EQ(resumed.sequence(), 3U);
  auto third = connect().resume<int>(resumed.checkpoint());
  EXPECT_EQ(drain(third), std::vector<int>{});
  server_->state = 3;
  EXPECT_EQ(drain(third), std::vector{3});
  (void)again.client.poll();
  EXPECT_EQ(resumed.try_next(), nullptr);  // nothing comes here any more
}

TEST_F(JournaledStreams, OfAJournalThatCannotBeReadAreRefusedAndThePeerLives) {
  const auto checkpoint = checkpoint_behind(3);
  count_to(9);
  restart();
  journal_->unreadable = true;
  Peer& client = connect();
  {
    auto stream = client.resume<int>(checkpoint);
    EXPECT_EQ(drain(stream), std::vector<int>{});
    EXPECT_EQ(stream.status(), Status::closed);
    EXPECT_NE(stream.failure_text().find("read the journal"), std::string::npos) << stream.failure_text();
  }
  journal_->unreadable = false;
  auto stream = client.resume<int>(checkpoint);
  EXPECT_EQ(drain(stream), from_to(4, 9));
}

TEST_F(JournaledStreams, EndWithAnErrorIfTheJournalFailsOrPrunesWhileTheyCatchUp) {
  for (const bool prunes : {false, true}) {
    const auto checkpoint = checkpoint_behind(3, {.slow = SlowPolicy::block, .window = 8});
    count_to(200);
    restart();
    auto stream = connect().resume<int>(checkpoint);
    (void)peers_->server.poll();
    (void)peers_->client.poll();
    if (prunes) {
      journal_->keep(1);
    } else {
      journal_->unreadable = true;
    }
    EXPECT_LT(drain(stream).size(), 100U);
    EXPECT_EQ(stream.end_reason(), codec::StreamEnd::error);
    EXPECT_TRUE(peers_->client.is_open());
    journal_->unreadable = false;
    server_->state = 0;
  }
}

// The state itself.

TEST_F(JournaledStreams, AStateIsRecordedAlsoIfNobodyObservesIt) {
  EXPECT_EQ(journal_->size(), 1U);
  count_to(3);
  EXPECT_EQ(journal_->size(), 4U);
  EXPECT_EQ(codec::newest_value<int>(*journal_), 3);
  restart();
  EXPECT_EQ(server_->state.get(), 3);
  EXPECT_EQ(journal_->size(), 4U);  // the newest value is there already
}

TEST_F(JournaledStreams, AnUpdateThatCannotBeRecordedChangesNothing) {
  auto stream = connect().observe<int>("counter", "value");
  EXPECT_EQ(drain(stream), std::vector{0});
  journal_->full = true;
  EXPECT_THROW(server_->state = 1, error);
  EXPECT_THROW(server_->state.update([](int& value) { ++value; }), error);
  EXPECT_EQ(server_->state.get(), 0);
  EXPECT_EQ(server_->state.version(), 0U);
  EXPECT_EQ(drain(stream), std::vector<int>{});
  journal_->full = false;
  server_->state = 2;
  EXPECT_EQ(drain(stream), std::vector{2});
  EXPECT_EQ(stream.sequence(), 2U);
}

TEST_F(JournaledStreams, AnUpdateThatThrowsChangesNothing) {
  EXPECT_THROW(server_->state.update([](int& value) {
    value = 7;
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(server_->state.get(), 0);
  EXPECT_EQ(journal_->size(), 1U);
}

TEST_F(JournaledStreams, AnActorsUpdateThatIsSavedButNotRecordedShowsWithTheNextOne) {
  codec::MemoryStateStore store;
  const auto journal = std::make_shared<MemoryJournal>();
  codec::StatefulActor<int> actor(store, "count", 0, {.state = {.journal = journal}});
  actor.update([](int& value) { value = 1; });
  journal->full = true;
  EXPECT_THROW(actor.update([](int& value) { value = 2; }), error);
  EXPECT_EQ(actor.get(), 1);
  EXPECT_EQ(codec::load<int>(store, "count"), 2);
  EXPECT_THROW(actor.update([](int& value) { value = 3; }), error);  // still full: it isn't even saved
  EXPECT_EQ(codec::load<int>(store, "count"), 2);
  journal->full = false;
  actor.update([](int& value) { value += 10; });
  EXPECT_EQ(actor.get(), 12);
  EXPECT_EQ(codec::load<int>(store, "count"), 12);
  EXPECT_EQ(actor.version(), 3U);
}

TEST_F(JournaledStreams, AnActorThatStreamsFirstSavesNothingThatIsNotRecorded) {
  codec::MemoryStateStore store;
  const auto journal = std::make_shared<MemoryJournal>();
  codec::StatefulActor<int> actor(
      store, "count", 0, {.order = codec::SaveOrder::stream_then_save, .state = {.journal = journal}});
  actor.update([](int& value) { value = 1; });
  journal->full = true;
  EXPECT_THROW(actor.update([](int& value) { value = 2; }), error);
  EXPECT_EQ(actor.get(), 1);
  EXPECT_EQ(codec::load<int>(store, "count"), 1);
}

/// Updates, disconnections, kills of either side and prunings in any order, and what an observer must have seen: each
/// value, or each change, once and in order, or told which are gone.
class JournaledSchedules : public JournaledStreams, public ::testing::WithParamInterface<bool> {
 protected:
  void update(int value) {
    server_->state = value;
    recorded_since_.push_back(value);
    if (only_changes_ && value == to_come_last_) return;
    to_come_last_ = value;
    to_come_.push_back({value, recorded_since_.size()});
  }

  void observe() {
    stream_.reset();
    Peer& client = connect();
    const ObserveOptions options{.slow = SlowPolicy::block, .window = 4, .delta = only_changes_};
    stream_.emplace(taken_ == 0 ? client.observe<int>("counter", "value", options)
                                : client.resume<int>(checkpoint_));
    poll();
    const Verdict verdict = stream_->verdict().value();
    if (taken_ == 0) {
      ASSERT_EQ(verdict.kind, StreamVerdict::started);
      to_come_ = {{server_->state.get(), 0}};
      to_come_last_ = server_->state.get();
      recorded_since_.clear();
      return;
    }
    ASSERT_EQ(verdict.first, taken_ + 1);
    // To tell changes, the value that the observer has must be there, too.
    if (recorded_since_.size() + (only_changes_ ? 1 : 0) <= journal_->size()) {
      ASSERT_EQ(verdict.kind, StreamVerdict::resumed);
      ASSERT_EQ(verdict.last, taken_ + to_come_.size());
      ++resumed_;
    } else {
      ASSERT_EQ(verdict.kind, StreamVerdict::gap);
      ASSERT_EQ(verdict.last, taken_ + recorded_since_.size());
      taken_ = verdict.last;
      to_come_ = {{server_->state.get(), recorded_since_.size()}};
      to_come_last_ = server_->state.get();
      ++gaps_;
      take(1);  // so that there's a checkpoint behind it
    }
  }

  void poll() {
    (void)peers_->server.poll();
    (void)peers_->client.poll();
  }

  void take(std::uint64_t most) {
    for (; most > 0; --most) {
      const int* value = nullptr;
      for (int i = 0; i < 3 && value == nullptr; ++i) {  // the credit has to get there
        poll();
        value = stream_->try_next();
      }
      if (value == nullptr) {
        ASSERT_TRUE(to_come_.empty());
        return;
      }
      ASSERT_FALSE(to_come_.empty());
      ASSERT_EQ(*value, to_come_.front().value);
      ASSERT_EQ(stream_->sequence(), ++taken_);
      checkpoint_ = stream_->checkpoint();
      const std::size_t dealt_with = to_come_.front().recorded;
      recorded_since_.erase(recorded_since_.begin(),
                            recorded_since_.begin() + static_cast<std::ptrdiff_t>(dealt_with));
      to_come_.pop_front();
      for (auto& item : to_come_) item.recorded -= dealt_with;
    }
  }

  void run(std::mt19937_64& random) {
    ASSERT_NO_FATAL_FAILURE(observe());
    ASSERT_NO_FATAL_FAILURE(take(1));
    for (int step = 0; step < 80; ++step) {
      const auto many = random() % 12;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          for (std::uint64_t i = 0; i < many; ++i) update(static_cast<int>(random() % 3));
          break;
        case 3:
          stream_.reset();
          restart();
          for (std::uint64_t i = 0; i < many; ++i) update(static_cast<int>(random() % 3));
          ASSERT_NO_FATAL_FAILURE(observe());
          break;
        case 4:
          stream_.reset();
          peers_.reset();
          for (std::uint64_t i = 0; i < many; ++i) update(static_cast<int>(random() % 3));
          if (random() % 3 == 0) journal_->keep(1 + random() % 10);
          ASSERT_NO_FATAL_FAILURE(observe());
          break;
        default:
          ASSERT_NO_FATAL_FAILURE(take(many));
      }
    }
    ASSERT_NO_FATAL_FAILURE(take(2000));
    ASSERT_TRUE(to_come_.empty());
    ASSERT_GT(resumed_, 0);
  }

  struct Expected {
    int value;
    std::size_t recorded;  // how many of recorded_since_ it is the last of
  };
  const bool only_changes_ = GetParam();
  std::optional<codec::Observed<int>> stream_;
  StreamCheckpoint checkpoint_;
  std::deque<Expected> to_come_;
  int to_come_last_ = 0;
  std::vector<int> recorded_since_;  // the last item that was taken
  std::uint64_t taken_ = 0;
  int resumed_ = 0;
  int gaps_ = 0;
};

TEST_P(JournaledSchedules, ShowAnObserverWhatTheModelSays) {
  const char* given = std::getenv("SLUICE_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("SLUICE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  int gaps = 0;
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    stream_.reset();
    restart();
    taken_ = 0;
    recorded_since_.clear();
    ASSERT_NO_FATAL_FAILURE(run(random));
    gaps += std::exchange(gaps_, 0);
    resumed_ = 0;
  }
  EXPECT_GT(gaps, 0);
}

INSTANTIATE_TEST_SUITE_P(OfEachValue, JournaledSchedules, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(OfChanges, JournaledSchedules, ::testing::Values(true));

}  // namespace
}  // namespace sluice
