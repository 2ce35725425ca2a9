// Peers in two processes, one of which is killed: what becomes of calls and streams, and of the one that comes back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "shared_page.hpp"
#include "shelf.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "temp_directory.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"
#ifdef SLUICE_HAS_CRYPTO
#include "sluice/codec/sealed/sealed_state_journal.hpp"
#endif

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using codec::Observed;
using codec::Peer;
using codec::SlowPolicy;
using codec::StateOptions;
using codec::StreamVerdict;
using codec::Verdict;

/// What an observer got: an item; the first one behind a verdict has that, too.
struct Seen {
  codec::Id stream{};
  std::uint64_t sequence = 0;
  std::int64_t value = 0;
  bool has_verdict = false;
  StreamVerdict verdict = StreamVerdict::started;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// What processes tell each other.
struct Board {
  std::atomic<int> stage{0};  // release: what its setter did before; acquire: reach()
  std::atomic<bool> stop_counting{false};
  std::atomic<std::int64_t> newest{-1};  // the last value of a server that has stopped counting
  std::atomic<std::size_t> seen{0};      // release: entries below it are written; acquire: their reader
  std::array<Seen, 40'000> entries{};
};

Observed<std::int64_t> observe(Peer& peer, SlowPolicy slow = SlowPolicy::block) {
  return peer.observe<std::int64_t>("shelf", "count", {.slow = slow, .window = 8});
}

std::int64_t count_to(Peer& peer, std::int64_t last) {
  return peer.call<std::int64_t>("shelf", "count_to", last);
}

/// The next value; -1 if there is none.
std::int64_t next(Observed<std::int64_t>& stream) {
  const std::int64_t* const value = stream.next_for(30s);
  return value == nullptr ? -1 : *value;
}

std::vector<std::int64_t> values(Observed<std::int64_t>& stream, std::size_t count) {
  std::vector<std::int64_t> all;
  while (all.size() < count) all.push_back(next(stream));
  return all;
}

std::vector<std::int64_t> from_to(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t> all;
  for (std::int64_t value = first; value <= last; ++value) all.push_back(value);
  return all;
}

class PeerProcesses : public ::testing::Test {
 protected:
  /// To whoever connects, until this process is killed.
  void serve_all(Shelf& shelf) {
    Listener listener = listen(channel_.path());
    std::vector<std::unique_ptr<Peer>> peers;
    for (;;) {
      Port port = listener.accept();
      peers.push_back(std::make_unique<Peer>(std::move(port), shelf.peer_options()));
      peers.back()->start();
    }
  }
  /// A child that serves a shelf to whoever connects, until it is killed.
  std::unique_ptr<ChildProcess> server(const StateOptions& options = {.retained_items = 100},
                                       std::int64_t first = 0) {
    return std::make_unique<ChildProcess>([this, options, first] {
      Shelf shelf(options);
      shelf.count = first;
      serve_all(shelf);
    });
  }
  std::unique_ptr<ChildProcess> session_server(std::int64_t first = 0) {
    return std::make_unique<ChildProcess>([this, first] {
      Shelf shelf;
      shelf.count = first;
      Peer peer(host_session(channel_.path()), shelf.peer_options());
      (void)peer.run();
    });
  }

  /// A client that takes five of eleven values, and is killed.
  template <typename Connect>
  void kill_a_client_behind_its_fifth_value(Connect connect_to) {
    ChildProcess client([&] {
      FileCheckpoints files(checkpoints_.path());
      Peer peer(connect_to());
      auto stream = observe(peer);
      count_to(peer, 10);
      for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(next(stream), i);
        files.store("count", stream.checkpoint());
      }
      reach(1);
      ::pause();
    });
    wait_for(1);
    client.signal(SIGKILL);
    (void)client.wait_for(30s);
  }
  StreamCheckpoint stored() const {
    const auto loaded = FileCheckpoints(checkpoints_.path()).load("count");
    EXPECT_EQ(loaded.state, CheckpointState::found);
    return loaded.checkpoint;
  }
  /// A client that comes back: `body(peer, checkpoint)`, after the server has seen the end of the first.
  template <typename Body>
  void come_back(Body body) {
    ChildProcess client([&] {
      const StreamCheckpoint checkpoint = stored();
      Peer peer(connect(channel_.path()), {.client = checkpoint.session});
      while (peer.call<int>("shelf", "open_peers") != 1) std::this_thread::sleep_for(1ms);
      body(peer, checkpoint);
    });
    expect_success(client);
  }

  void reach(int stage) { board_->stage.store(stage, std::memory_order_release); }
  void wait_for(int stage) {
    while (board_->stage.load(std::memory_order_acquire) < stage) std::this_thread::sleep_for(1ms);
  }
  bool saw_the_newest() const {
    const std::size_t count = board_->seen.load();
    return count > 0 && board_->entries.at(count - 1).value == board_->newest.load();
  }

  static void expect_success(ChildProcess& child) {
    const auto status = child.wait_for(60s);
    ASSERT_TRUE(status) << "a child runs on";
    EXPECT_TRUE(status->ok()) << to_string(*status);
  }

  const Watchdog watchdog_{180s, "peers in two processes"};
  TestChannel channel_;
  TempDirectory checkpoints_;
  SharedPage<Board> board_;
};

TEST_F(PeerProcesses, AKilledClientThatComesBackGetsWhatItMissed) {
  const auto serving = server();
  kill_a_client_behind_its_fifth_value([&] { return connect(channel_.path()); });
  come_back([](Peer& peer, const StreamCheckpoint& checkpoint) {
    count_to(peer, 15);
    auto stream = peer.resume<std::int64_t>(checkpoint);
    EXPECT_EQ(values(stream, 11), from_to(5, 15));
    EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 6, 16}));
    count_to(peer, 16);
    EXPECT_EQ(next(stream), 16);
  });
}

TEST_F(PeerProcesses, AKilledClientThatIsAwayForTooManyItemsIsToldWhichAreGone) {
  const auto serving = server({.retained_items = 20});
  kill_a_client_behind_its_fifth_value([&] { return connect(channel_.path()); });
  come_back([](Peer& peer, const StreamCheckpoint& checkpoint) {
    count_to(peer, 50);
    auto stream = peer.resume<std::int64_t>(checkpoint);
    EXPECT_EQ(next(stream), 50);
    EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::gap, 6, 51}));
    EXPECT_EQ(stream.sequence(), 52U);
    count_to(peer, 70);
    EXPECT_EQ(values(stream, 20), from_to(51, 70));
  });
}

TEST_F(PeerProcesses, AKilledClientThatIsAwayForTooLongBeginsAnew) {
  const auto serving = server({.retained_items = 20, .retention = 20ms});
  kill_a_client_behind_its_fifth_value([&] { return connect(channel_.path()); });
  come_back([](Peer& peer, const StreamCheckpoint& checkpoint) {
    std::this_thread::sleep_for(50ms);
    count_to(peer, 12);
    auto stream = peer.resume<std::int64_t>(checkpoint);
    EXPECT_EQ(next(stream), 12);
    EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
    EXPECT_EQ(stream.sequence(), 1U);
  });
}

TEST_F(PeerProcesses, AKilledServersClientBeginsAnewWithTheNextServersValue) {
  const auto serving = std::make_unique<ChildProcess>([this] {
    Shelf shelf;
    Listener listener = listen(channel_.path());
    Peer peer(listener.accept(), shelf.peer_options());
    (void)peer.run();
  });
  ChildProcess client([this] {
    std::optional<Peer> peer(std::in_place, connect(channel_.path()));
    auto stream = observe(*peer);
    EXPECT_EQ(count_to(*peer, 3), 3);
    EXPECT_EQ(values(stream, 4), from_to(0, 3));
    reach(1);
    EXPECT_EQ(next(stream), -1);
    EXPECT_EQ(stream.status(), Status::peer_died);
    EXPECT_EQ(peer->status(), Status::peer_died);
    const StreamCheckpoint checkpoint = stream.checkpoint();
    const codec::Id own = peer->client();
    std::error_code why;
    Port port;
    do {
      port = connect(channel_.path(), {}, why);  // the listener of the killed one may be there for a moment
    } while (why);
    peer.emplace(std::move(port), codec::PeerOptions{.client = own});
    auto again = peer->resume<std::int64_t>(checkpoint);
    EXPECT_EQ(next(again), 1000);
    EXPECT_EQ(again.verdict(), Verdict{StreamVerdict::restarted});
    EXPECT_EQ(again.sequence(), 1U);
  });
  wait_for(1);
  serving->signal(SIGKILL);
  (void)serving->wait_for(30s);
  const auto following = server({}, 1000);
  expect_success(client);
}

TEST_F(PeerProcesses, OfASessionWhoseServerIsKilledGoOnByThemselvesAndPendingCallsFail) {
  const auto serving = session_server();
  ChildProcess client([this] {
    Peer peer(join_session(channel_.path()));
    peer.start();
    auto stream = observe(peer);
    EXPECT_EQ(count_to(peer, 3), 3);
    EXPECT_EQ(values(stream, 4), from_to(0, 3));
    auto kept = peer.call_async<std::string>("shelf", "keep");
    EXPECT_EQ(peer.call<int>("shelf", "add", 1, 2), 3);
    reach(1);
    // Whether the server before or the next one gets it, or none: it harms nobody.
    for (int i = 0; i < 100; ++i) peer.send("shelf", "note", "meanwhile");
    const auto outcome = std::move(kept).outcome({.timeout = 30s});
    EXPECT_EQ(outcome.code(), codec::errc::peer_ended) << outcome.text();
    EXPECT_EQ(next(stream), 1000) << stream.failure_text();
    EXPECT_EQ(stream.verdict(), Verdict{StreamVerdict::restarted});
    EXPECT_EQ(stream.sequence(), 1U);
    EXPECT_EQ(count_to(peer, 1020), 1020);
    EXPECT_EQ(values(stream, 20), from_to(1001, 1020));
  });
  wait_for(1);
  serving->signal(SIGKILL);
  (void)serving->wait_for(30s);
  const auto following = session_server(1000);
  expect_success(client);
}

TEST_F(PeerProcesses, OfASessionWhoseClientIsKilledAndComesBackResume) {
  const auto serving = session_server();
  kill_a_client_behind_its_fifth_value([&] { return join_session(channel_.path()); });
  ChildProcess client([this] {
    const StreamCheckpoint checkpoint = stored();
    Peer peer(join_session(channel_.path()), {.client = checkpoint.session});
    EXPECT_EQ(peer.call<std::int64_t>({.timeout = 30s}, "shelf", "count_to", 15), 15);
    auto stream = peer.resume<std::int64_t>(checkpoint);
    EXPECT_EQ(values(stream, 11), from_to(5, 15));
    EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 6, 16}));
  });
  expect_success(client);
}

TEST_F(PeerProcesses, AKilledCallersCallsAreCancelled) {
  const auto serving = server();
  ChildProcess caller([this] {
    Peer peer(connect(channel_.path()));
    std::vector<codec::Pending<std::string>> pending;
    for (int i = 0; i < 10; ++i) pending.push_back(peer.call_async<std::string>("shelf", "keep"));
    EXPECT_EQ(peer.call<int>("shelf", "add", 1, 2), 3);
    reach(1);
    ::pause();
  });
  wait_for(1);
  caller.signal(SIGKILL);
  ChildProcess other([this] {
    Peer peer(connect(channel_.path()));
    while (peer.call<int>("shelf", "given_up") != 10) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(peer.call<int>("shelf", "release", "nobody"), 0);
  });
  expect_success(other);
}

TEST_F(PeerProcesses, AServerThatIsKilledLeavesEachCallAnsweredOrFailed) {
  const auto serving = server();
  ChildProcess client([this] {
    Peer peer(connect(channel_.path()));
    std::vector<codec::Pending<std::string>> kept;
    for (int i = 0; i < 500; ++i) kept.push_back(peer.call_async<std::string>("shelf", "keep"));
    std::vector<codec::Pending<std::int64_t>> sums;
    for (int i = 0; i < 500; ++i) sums.push_back(peer.call_async<std::int64_t>("shelf", "add", i, i));
    reach(1);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      auto outcome = std::move(sums[i]).outcome();
      if (outcome) {
        EXPECT_EQ(*outcome, static_cast<std::int64_t>(2 * i));
      } else {
        EXPECT_EQ(outcome.code(), codec::errc::peer_ended);
      }
    }
    for (auto& each : kept) EXPECT_EQ(std::move(each).outcome().code(), codec::errc::peer_ended);
    EXPECT_EQ(peer.status(), Status::peer_died);
  });
  wait_for(1);
  serving->signal(SIGKILL);
  expect_success(client);
}

/// Servers and clients that are killed at random, and a model of what an observer must have seen.
class RandomKills : public PeerProcesses {
 protected:
  static constexpr int kRounds = 25;
  static constexpr std::int64_t kServerStep = 1'000'000;

  /// Counts by itself, from `life` million on, until it is told to stop.
  std::unique_ptr<ChildProcess> counting_server(std::int64_t life, std::uint64_t seed) {
    return std::make_unique<ChildProcess>([this, life, seed] {
      Shelf shelf({.retained_items = 300, .longest_wait = 30s});
      shelf.count = life * kServerStep;
      std::thread counter([&] {
        std::mt19937_64 random(seed);
        while (!board_->stop_counting.load()) {
          shelf.count_to(shelf.count.get() + 1);
          if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
        }
        board_->newest.store(shelf.count.get());
      });
      serve_all(shelf);
    });
  }

  /// Goes on from its predecessor's checkpoint, and notes what it sees, until that is the newest value.
  std::unique_ptr<ChildProcess> observing_client(SlowPolicy slow) {
    return std::make_unique<ChildProcess>([this, slow] {
      FileCheckpoints files(checkpoints_.path());
      const codec::Id client{1, 2, 3};
      for (;;) {
        std::error_code why;
        Port port = connect(channel_.path(), {}, why);
        if (why) continue;  // the server was killed just now
        Peer peer(std::move(port), {.client = client});
        const auto loaded = files.load("count");
        auto stream = loaded.state == CheckpointState::found ? peer.resume<std::int64_t>(loaded.checkpoint)
                                                             : observe(peer, slow);
        bool first = true;
        do {
          if (const std::int64_t* const value = stream.next_for(20ms)) {
            note(stream, *value, std::exchange(first, false));
            files.store("count", stream.checkpoint());
          }
          if (saw_the_newest()) return;
        } while (stream.status() == Status::ok || stream.status() == Status::timed_out);
      }
    });
  }

  void note(Observed<std::int64_t>& stream, std::int64_t value, bool first) {
    const std::size_t at = board_->seen.load();
    Seen& seen = board_->entries.at(at);
    seen = {stream.checkpoint().stream, stream.sequence(), value, first, {}, 0, 0};
    if (first) {
      const Verdict verdict = stream.verdict().value();
      seen.verdict = verdict.kind;
      seen.first = verdict.first;
      seen.last = verdict.last;
    }
    board_->seen.store(at + 1, std::memory_order_release);
  }

  void run(SlowPolicy slow) {
    const char* given = std::getenv("SLUICE_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("SLUICE_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    std::int64_t life = 1;
    auto serving = counting_server(life, random());
    auto client = observing_client(slow);
    for (int round = 0; round < kRounds; ++round) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
      if (random() % 5 == 0) {
        serving.reset();  // kills it
        serving = counting_server(++life, random());
      } else {
        client.reset();
        if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
        client = observing_client(slow);
      }
      if (board_->seen.load() > board_->entries.size() / 2) break;
    }
    board_->stop_counting.store(true);
    expect_success(*client);
    check(slow, life);
  }

  void check(SlowPolicy slow, std::int64_t life) {
    const std::size_t count = board_->seen.load(std::memory_order_acquire);
    ASSERT_GT(count, 0U);
    std::map<std::uint64_t, std::int64_t> stream;  // what each item was
    codec::Id id{};
    std::int64_t newest = 0;
    std::map<StreamVerdict, int> verdicts;
    for (std::size_t i = 0; i < count; ++i) {
      const Seen& seen = board_->entries.at(i);
      SCOPED_TRACE("entry " + std::to_string(i) + ": item " + std::to_string(seen.sequence) + ", value " +
                   std::to_string(seen.value));
      if (seen.has_verdict) ++verdicts[seen.verdict];
      if (seen.stream != id) {
        ASSERT_TRUE(seen.has_verdict);
        ASSERT_TRUE(seen.verdict == StreamVerdict::started || seen.verdict == StreamVerdict::restarted);
        ASSERT_EQ(seen.sequence, 1U);
        stream.clear();
        id = seen.stream;
      } else if (const auto again = stream.find(seen.sequence); again != stream.end()) {
        // Its note was taken, but its checkpoint wasn't stored.
        ASSERT_TRUE(seen.has_verdict && seen.verdict == StreamVerdict::resumed);
        ASSERT_EQ(again->second, seen.value);
      } else {
        const auto [before, value_before] = *stream.rbegin();
        const auto steps = static_cast<std::int64_t>(seen.sequence - before);
        if (seen.has_verdict && seen.verdict == StreamVerdict::gap) {
          ASSERT_EQ(seen.sequence, seen.last + 1);
          ASSERT_LE(seen.first, before + 1);
          // The item behind a gap repeats the present value; such items may lie in the gap, too.
          if (slow == SlowPolicy::block) {
            ASSERT_LE(seen.value, value_before + steps - 1);
            ASSERT_GE(seen.value, value_before + steps - 1 - kRounds);
          }
        } else {
          ASSERT_EQ(steps, 1);
          if (slow == SlowPolicy::block) {
            ASSERT_EQ(seen.value, value_before + 1);
          }
        }
        ASSERT_GE(seen.value, value_before);
      }
      stream[seen.sequence] = seen.value;
      newest = std::max(newest, seen.value);
    }
    EXPECT_EQ(newest, board_->newest.load());
    EXPECT_EQ(newest / kServerStep, life);
    std::printf("%zu items, %d resumptions, %d gaps, %d restarts\n", count, verdicts[StreamVerdict::resumed],
                verdicts[StreamVerdict::gap], verdicts[StreamVerdict::restarted]);
  }
};

TEST_F(RandomKills, LeaveAnObserverOfEveryValueWithEachOnceInOrderOrToldWhichAreGone) {
  run(SlowPolicy::block);
}

TEST_F(RandomKills, LeaveAnObserverOfTheNewestValueWithValuesInOrderAndTheLast) {
  run(SlowPolicy::conflate);
}

#ifdef SLUICE_HAS_CRYPTO

/// Servers whose state has a sealed journal, and goes on where the one before was killed.
class JournaledProcesses : public PeerProcesses {
 protected:
  static crypto::SecretKey key() {
    return crypto::SecretKey::from_bytes(std::vector<std::byte>(crypto::SecretKey::kSize, std::byte{7}));
  }
  /// A process has the journal; the one before may be dying still.
  std::shared_ptr<codec::SealedStateJournal> opened(const codec::SealedStateJournalOptions& options) const {
    for (;;) {
      try {
        return std::make_shared<codec::SealedStateJournal>(journal_.path(), key(), options);
      } catch (const error& failure) {
        if (failure.code() != errc::busy) throw;
        std::this_thread::sleep_for(1ms);
      }
    }
  }
  template <typename Serve>
  std::unique_ptr<ChildProcess> journaled(Serve serve, const codec::SealedStateJournalOptions& options = {}) {
    return std::make_unique<ChildProcess>([this, serve, options] {
      const auto journal = opened(options);
      const auto newest = codec::newest_value<std::int64_t>(*journal);
      Shelf shelf({.retained_items = 4, .journal = journal}, newest.value_or(0));
      serve(shelf);
    });
  }
  std::unique_ptr<ChildProcess> journaled_server(const codec::SealedStateJournalOptions& options = {}) {
    return journaled([this](Shelf& shelf) { serve_all(shelf); }, options);
  }
  Port connect_at_last() const {
    for (;;) {
      std::error_code why;
      Port port = connect(channel_.path(), {}, why);
      if (!why) return port;
      std::this_thread::sleep_for(1ms);
    }
  }

  TempDirectory journal_;
};

TEST_F(JournaledProcesses, AKilledServersClientGetsEverythingThatItMissed) {
  auto serving = journaled_server();
  ChildProcess client([this] {
    std::optional<Peer> peer(std::in_place, connect_at_last());
    auto stream = observe(*peer);
    EXPECT_EQ(count_to(*peer, 300), 300);  // all is recorded, and but a few are sent
    EXPECT_EQ(values(stream, 4), from_to(0, 3));
    const StreamCheckpoint checkpoint = stream.checkpoint();
    const codec::Id own = peer->client();
    reach(1);
    while (next(stream) >= 0) {
    }
    EXPECT_EQ(stream.status(), Status::peer_died);
    peer.emplace(connect_at_last(), codec::PeerOptions{.client = own});
    EXPECT_EQ(count_to(*peer, 310), 310);
    auto again = peer->resume<std::int64_t>(checkpoint);
    EXPECT_EQ(values(again, 307), from_to(4, 310));
    EXPECT_EQ(again.verdict(), (Verdict{StreamVerdict::resumed, 5, 311}));
    EXPECT_EQ(count_to(*peer, 311), 311);
    EXPECT_EQ(next(again), 311);
  });
  wait_for(1);
  serving->signal(SIGKILL);
  (void)serving->wait_for(30s);
  serving = journaled_server();
  expect_success(client);
}

TEST_F(JournaledProcesses, AClientThatWasKilledTogetherWithItsServerGetsEverythingThatItMissed) {
  auto serving = journaled_server();
  kill_a_client_behind_its_fifth_value([&] { return connect_at_last(); });
  serving->signal(SIGKILL);
  (void)serving->wait_for(30s);
  serving = journaled_server();
  ChildProcess client([this] {
    const StreamCheckpoint checkpoint = stored();
    Peer peer(connect_at_last(), {.client = checkpoint.session});
    auto stream = peer.resume<std::int64_t>(checkpoint);
    EXPECT_EQ(values(stream, 6), from_to(5, 10));
    EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::resumed, 6, 11}));
    EXPECT_EQ(count_to(peer, 11), 11);
    EXPECT_EQ(next(stream), 11);
  });
  expect_success(client);
}

TEST_F(JournaledProcesses, OfASessionWhoseServerIsKilledGoOnByThemselves) {
  const auto serve = [this](Shelf& shelf) {
    Peer peer(host_session(channel_.path()), shelf.peer_options());
    (void)peer.run();
  };
  auto serving = journaled(serve);
  ChildProcess client([this] {
    Peer peer(join_session(channel_.path()));
    peer.start();
    auto stream = observe(peer);
    EXPECT_EQ(count_to(peer, 100), 100);
    EXPECT_EQ(values(stream, 4), from_to(0, 3));
    reach(1);
    EXPECT_EQ(values(stream, 97), from_to(4, 100));
    EXPECT_EQ(stream.verdict().value().kind, StreamVerdict::resumed);
    EXPECT_EQ(count_to(peer, 105), 105);
    EXPECT_EQ(values(stream, 5), from_to(101, 105));
    EXPECT_EQ(stream.sequence(), 106U);
  });
  wait_for(1);
  serving->signal(SIGKILL);
  (void)serving->wait_for(30s);
  serving = journaled(serve);
  expect_success(client);
}

TEST_F(JournaledProcesses, AKilledServersClientIsToldExactlyWhatTheJournalHasPruned) {
  const codec::SealedStateJournalOptions little{.retain_bytes = std::uint64_t{1} << 20};
  auto serving = journaled_server(little);
  kill_a_client_behind_its_fifth_value([&] { return connect_at_last(); });
  ChildProcess other([this] {
    Peer peer(connect_at_last());
    EXPECT_EQ(count_to(peer, 20'000), 20'000);  // some 77 bytes each
  });
  expect_success(other);
  serving->signal(SIGKILL);
  (void)serving->wait_for(30s);
  serving = journaled_server(little);
  ChildProcess client([this] {
    const StreamCheckpoint checkpoint = stored();
    Peer peer(connect_at_last(), {.client = checkpoint.session});
    auto stream = peer.resume<std::int64_t>(checkpoint);
    EXPECT_EQ(next(stream), 20'000);
    EXPECT_EQ(stream.verdict(), (Verdict{StreamVerdict::gap, 6, 20'001}));
    EXPECT_EQ(stream.sequence(), 20'002U);
  });
  expect_success(client);
}

/// Both are killed at any moment: with a journal the observer sees each value once and in order, under its number.
class JournaledKills : public JournaledProcesses {
 protected:
  std::unique_ptr<ChildProcess> counting_server(std::uint64_t seed) {
    return journaled([this, seed](Shelf& shelf) {
      std::thread counter([&] {
        std::mt19937_64 random(seed);
        while (!board_->stop_counting.load()) {
          shelf.count_to(shelf.count.get() + 1);
          std::this_thread::sleep_for(std::chrono::microseconds(random() % 400));
        }
        board_->newest.store(shelf.count.get());
      });
      serve_all(shelf);
    });
  }
  std::unique_ptr<ChildProcess> observing_client() {
    return std::make_unique<ChildProcess>([this] {
      FileCheckpoints files(checkpoints_.path());
      for (;;) {
        Peer peer(connect_at_last(), {.client = codec::Id{1, 2, 3}});
        const auto loaded = files.load("count");
        auto stream = loaded.state == CheckpointState::found ? peer.resume<std::int64_t>(loaded.checkpoint)
                                                             : observe(peer);
        do {
          if (saw_the_newest()) return;
          const std::int64_t* const value = stream.next_for(20ms);
          if (value == nullptr) continue;
          const std::size_t at = board_->seen.load();
          board_->entries.at(at) = {{}, stream.sequence(), *value, {}, stream.verdict().value().kind, 0, 0};
          board_->seen.store(at + 1, std::memory_order_release);
          if (at % 16 == 0) files.store("count", stream.checkpoint());
        } while (stream.status() == Status::ok || stream.status() == Status::timed_out);
      }
    });
  }
};

TEST_F(JournaledKills, LeaveAnObserverWithEachValueOnceInOrderUnderItsNumber) {
  const char* given = std::getenv("SLUICE_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("SLUICE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  auto serving = counting_server(random());
  auto client = observing_client();
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    if (random() % 2 == 0) serving.reset();  // kills it
    if (!serving || random() % 2 == 0) client.reset();
    if (!serving) serving = counting_server(random());
    if (!client) client = observing_client();
    if (board_->seen.load() > board_->entries.size() / 2) break;
  }
  board_->stop_counting.store(true);
  expect_success(*client);
  const std::size_t count = board_->seen.load(std::memory_order_acquire);
  ASSERT_GT(count, 0U);
  std::uint64_t newest = 0;
  std::uint64_t number_of_zero = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Seen& seen = board_->entries.at(i);
    SCOPED_TRACE("entry " + std::to_string(i) + ": item " + std::to_string(seen.sequence) + ", value " +
                 std::to_string(seen.value));
    if (i == 0) number_of_zero = seen.sequence - static_cast<std::uint64_t>(seen.value);
    ASSERT_TRUE(seen.verdict == StreamVerdict::started || seen.verdict == StreamVerdict::resumed);
    ASSERT_LE(seen.sequence,
              newest + 1);  // none is left out; those that came behind the stored one come again
    ASSERT_EQ(seen.sequence, number_of_zero + static_cast<std::uint64_t>(seen.value));
    newest = std::max(newest, seen.sequence);
  }
  EXPECT_EQ(static_cast<std::int64_t>(newest - number_of_zero), board_->newest.load());
  std::printf("%zu items\n", count);
}

#endif  // SLUICE_HAS_CRYPTO

}  // namespace
}  // namespace sluice::test
