// Objects that a forked child has inherited: every call says so, nothing hangs, and neither their use nor
// their destruction touches what is the parent's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ring_pair.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "throws.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class InheritedPorts : public ::testing::Test {
 protected:
  /// Runs `body` in a child, which has 20 s for it, and expects no failure there.
  template <typename Body>
  void in_a_child(Body body) {
    ChildProcess child([&] {
      ::alarm(20);
      body();
    });
    const auto status = child.wait_for(30s);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->ok()) << to_string(*status);
  }

  const Watchdog watchdog_{200s, "objects in a forked child"};
  TestChannel channel_;
};

/// What setters of handlers, start() and run() do in a child.
template <typename P>
void expect_refused_handlers(P& port) {
  EXPECT_TRUE(throws(errc::misuse, "fork", [&] { port.on_message({}); }));
  EXPECT_TRUE(throws(errc::misuse, "fork", [&] { port.on_error({}); }));
  EXPECT_TRUE(throws(errc::misuse, "fork", [&] { port.on_close({}); }));
  EXPECT_TRUE(throws(errc::misuse, "fork", [&] { port.start(); }));
  EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)port.run(); }));
}

/// Makes every call on a port that a child has inherited, and destroys it.
void use_inherited(Port& port) {
  EXPECT_EQ(port.post_message("x"), Status::forked);
  EXPECT_EQ(port.try_post_message("x"), Status::forked);
  EXPECT_EQ(port.post_message_for("x", 1h), Status::forked);
  EXPECT_EQ(port.post_parts_until({}, {}, kNoDeadline), Status::forked);
  EXPECT_EQ(port.append_message("x"), Status::forked);
  EXPECT_EQ(port.claim(8).status(), Status::forked);
  EXPECT_EQ(port.try_claim(8).commit(), Status::forked);
  port.publish();
  EXPECT_EQ(port.wait_until_consumed(), Status::forked);
  if (port.can_receive()) {
    EXPECT_EQ(port.receive().status(), Status::forked);
    EXPECT_EQ(port.try_receive().status(), Status::forked);
    EXPECT_EQ(port.receive_for(1h).status(), Status::forked);
  }
  EXPECT_EQ(port.replay_from(1), Status::forked);
  expect_refused_handlers(port);
  EXPECT_EQ(port.wait_closed(), Status::forked);
  EXPECT_FALSE(port.is_open());
  EXPECT_NE(port.failure_text().find("fork"), std::string::npos);
  EXPECT_EQ(port.peer().pid, 0);
  EXPECT_FALSE(port.session());
  (void)port.statistics();
  (void)port.next_sequence();
  (void)port.max_message_bytes();
  std::vector<std::byte> copy;
  ring::Sequence sequence = 0;
  ring::HistoryReader history = port.history();
  EXPECT_EQ(history.next(copy, sequence), Status::would_block) << "of a port that knows nothing";
  port.close();
  AnyPort any(std::move(port));
  EXPECT_EQ(any.post_message("x"), Status::forked);
}

// Copies of the regions tell whether anything was written.
TEST_F(InheritedPorts, RingEndsRefuseEveryCallAndWriteNothing) {
  auto pair = std::make_unique<ring::testing::RingPair>(ring::testing::PairOptions{});
  auto producer = pair->producer();
  auto consumer = pair->consumer();
  const auto text = std::as_bytes(std::span("a record", 8));
  for (int i = 0; i < 3; ++i) ASSERT_EQ(producer->try_post(text), Status::ok);
  ring::Record record;
  ASSERT_EQ(consumer->try_read(record), Status::ok);
  consumer->release();
  ASSERT_EQ(consumer->try_read(record), Status::ok);
  ASSERT_EQ(producer->try_append(text), Status::ok);
  std::span<std::byte> room;
  ASSERT_EQ(producer->try_claim(8, room), Status::ok);
  auto history = std::make_unique<ring::HistoryReader>(pair->a_seen());

  const auto image = [](const ring::OwnView& region) {
    const auto* control = reinterpret_cast<const char*>(region.control);
    return std::string(control, sizeof *region.control) +
           std::string(reinterpret_cast<const char*>(region.data), region.header.capacity);
  };
  const std::string before = image(pair->a()) + image(pair->b());
  in_a_child([&] {
    EXPECT_EQ(producer->commit(8), Status::forked);
    EXPECT_EQ(producer->try_post(text), Status::forked);
    EXPECT_EQ(producer->try_append(text), Status::forked);
    EXPECT_EQ(producer->try_claim(8, room), Status::forked);
    producer->publish();
    producer->publish_last();
    producer->mark_closed();
    producer->rebind(pair->b_seen());
    EXPECT_EQ(producer->wait_for_room(8, kNoDeadline), Status::forked);
    EXPECT_EQ(producer->wait_until_consumed(kNoDeadline), Status::forked);
    EXPECT_EQ(consumer->try_read(record), Status::forked);
    consumer->release();
    consumer->rebind(pair->a_seen());
    EXPECT_EQ(consumer->rewind(1), Status::forked);
    EXPECT_EQ(consumer->wait_for_record(kNoDeadline), Status::forked);
    std::vector<std::byte> copy;
    ring::Sequence sequence = 0;
    EXPECT_EQ(history->next(copy, sequence), Status::forked);
    EXPECT_EQ(history->seek(1), Status::forked);
    EXPECT_EQ(history->seek_end(), Status::forked);
    EXPECT_EQ(history->seek_position(0), Status::forked);
    EXPECT_EQ(image(pair->a()) + image(pair->b()), before);
    producer.reset();
    consumer.reset();
    history.reset();
    pair.reset();
  });
  EXPECT_EQ(image(pair->a()) + image(pair->b()), before);
  ASSERT_EQ(producer->commit(8), Status::ok);
  producer->publish();
}

TEST_F(InheritedPorts, RegionsInFilesAreNotRemoved) {
  ring::RegionOptions options;
  options.file = channel_.directory() + "/region";
  auto region = std::make_unique<ring::OwnedRegion>(ring::OwnedRegion::create(options));
  auto peer = std::make_unique<ring::PeerRegion>(ring::PeerRegion::open_file(options.file));
  in_a_child([&] {
    region->remove_file();
    region.reset();
    peer.reset();
  });
  EXPECT_TRUE(std::filesystem::exists(options.file));
  region->remove_file();
  EXPECT_FALSE(std::filesystem::exists(options.file));
}

TEST_F(InheritedPorts, PortsInEveryStateRefuseEveryCallAndAreLeftAlone) {
  std::deque<std::pair<Port, Port>> pairs;
  const auto make = [&]() -> std::pair<Port, Port>& { return pairs.emplace_back(make_port_pair()); };
  make();  // untouched

  auto& sending = make();
  ASSERT_EQ(sending.first.append_message("batch"), Status::ok);
  Claim claim = sending.first.claim(5);
  std::memcpy(claim.bytes().data(), "claim", 5);

  auto& receiving = make();
  ASSERT_EQ(receiving.first.post_message("held"), Status::ok);
  Message held = receiving.second.receive();

  auto& waiting = make();
  waiting.second.start();

  auto& handling = make();
  std::promise<void> inside;
  std::promise<void> go_on;
  handling.second.on_message([&](std::span<const std::byte>) {
    inside.set_value();
    go_on.get_future().wait();
  });
  handling.second.start();
  ASSERT_EQ(handling.first.post_message("handled"), Status::ok);
  inside.get_future().wait();

  // To destroy what a thread waits for would never end.
  auto& awaited = make();
  std::thread waiter([&] { EXPECT_EQ(awaited.second.wait_closed(), Status::closed); });
  std::this_thread::sleep_for(20ms);  // until it waits; every moment is right

  make().first.close();

  in_a_child([&] {
    EXPECT_EQ(claim.commit(), Status::forked);
    claim.abort();
    EXPECT_EQ(held.text(), "held");
    held.release();
    for (auto& [first, second] : pairs) {
      use_inherited(first);
      use_inherited(second);
    }
    pairs.clear();
    // Its own ports work.
    auto [mine, other] = make_port_pair();
    EXPECT_EQ(mine.post_message("own"), Status::ok);
    EXPECT_EQ(other.receive().text(), "own");
  });

  EXPECT_EQ(claim.commit(), Status::ok);
  EXPECT_EQ(sending.second.receive().text(), "batch");
  EXPECT_EQ(sending.second.receive().text(), "claim");
  EXPECT_EQ(held.text(), "held");
  EXPECT_EQ(receiving.first.wait_until_consumed(deadline_in(1ms)), Status::timed_out);
  go_on.set_value();
  EXPECT_EQ(handling.first.wait_until_consumed(), Status::ok);
  for (auto& [first, second] : pairs) {
    if (&first != &pairs.back().first) {
      EXPECT_TRUE(first.is_open() && second.is_open());
      EXPECT_EQ(second.post_message("still there"), Status::ok);
      EXPECT_EQ(first.receive().text(), "still there");
    }
  }
  awaited.first.close();
  waiter.join();
}

TEST_F(InheritedPorts, PortsOverDescriptorsRefuseEveryCallAndAreLeftAlone) {
  std::deque<std::pair<NativePort, NativePort>> pairs;
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
    pairs.emplace_back(wrap_native_port(Descriptor(ends[0])), wrap_native_port(Descriptor(ends[1])));
  }
  std::array<int, 2> there{};
  std::array<int, 2> back{};
  ASSERT_EQ(::pipe2(there.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(back.data(), O_CLOEXEC), 0);
  pairs.emplace_back(wrap_native_port(Descriptor(back[0]), Descriptor(there[1])),
                     wrap_native_port(Descriptor(there[0]), Descriptor(back[1])));
  std::atomic<int> handled = 0;
  for (auto& [first, second] : pairs) {
    second.on_message([&](std::string_view) { ++handled; });
    second.start();
  }

  in_a_child([&] {
    for (auto& [first, second] : pairs) {
      for (NativePort* port : {&first, &second}) {
        EXPECT_EQ(port->post_message("x"), Status::forked);
        EXPECT_EQ(port->post_parts_until({}, {}, kNoDeadline), Status::forked);
        EXPECT_EQ(port->receive().status(), Status::forked);
        EXPECT_EQ(port->try_receive().status(), Status::forked);
        (void)port->can_receive();
        expect_refused_handlers(*port);
        EXPECT_FALSE(port->is_open());
        EXPECT_NE(port->failure_text().find("fork"), std::string::npos);
        port->close();
      }
      NativePort moved = std::move(first);
      second = NativePort();
    }
    pairs.clear();
  });

  for (auto& [first, second] : pairs) {
    EXPECT_EQ(first.post_message("one"), Status::ok);
    EXPECT_EQ(second.post_message("back"), Status::ok);
    EXPECT_EQ(first.receive().text(), "back");
  }
  while (handled < 3) std::this_thread::sleep_for(1ms);
}

TEST_F(InheritedPorts, ListenersRefuseToAcceptAndGoOnInTheParent) {
  Listener listener = listen(channel_.path());
  in_a_child([&] {
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)listener.accept(); }));
    EXPECT_TRUE(throws(errc::misuse, "fork", [&] { (void)listener.accept_for(1h); }));
    std::error_code why;
    (void)listener.accept(why);
    EXPECT_EQ(why, errc::misuse);
    EXPECT_EQ(listener.path(), channel_.path());
    listener.close();
    Listener moved = std::move(listener);
    moved = Listener();
  });
  ChildProcess client([&] { EXPECT_EQ(connect(channel_.path()).post_message("hello"), Status::ok); });
  Port port = listener.accept();
  EXPECT_EQ(port.receive().text(), "hello");
  EXPECT_TRUE(client.wait_for(20s));
}

// A fork may come while another thread holds the session's lock.
TEST_F(InheritedPorts, SessionsRefuseEveryCallThoughTheirLockWasHeldAndGoOn) {
  ChildProcess joiner([&] {
    Port port = join_session(channel_.path());
    while (const Message message = port.receive()) {
      if (port.post_message(message.bytes()) != Status::ok) return;
    }
  });
  Port host = host_session(channel_.path());
  std::atomic<bool> stop = false;
  std::vector<std::thread> askers;
  for (int i = 0; i < 2; ++i) {
    askers.emplace_back([&] {
      while (!stop) {
        (void)host.session();
        (void)host.peer();
      }
    });
  }
  for (int i = 0; i < 40; ++i) in_a_child([&] { use_inherited(host); });
  stop = true;
  for (std::thread& asker : askers) asker.join();
  EXPECT_TRUE(host.session());
  ASSERT_EQ(host.post_message("there and back"), Status::ok);
  EXPECT_EQ(host.receive().text(), "there and back");
  host.close();
  EXPECT_TRUE(joiner.wait_for(20s));
}

}  // namespace
}  // namespace sluice::test
