// The handshake of sessions against joiners and keepers that break its rules: refused, and the session goes
// on with the next who keeps them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "child_process.hpp"
#include "command.hpp"
#include "handshake_messages.hpp"
#include "listening_socket.hpp"
#include "open_descriptors.hpp"
#include "opening.hpp"
#include "packet_pair.hpp"
#include "process_signal.hpp"
#include "resumption.hpp"
#include "ring_pair.hpp"
#include "session_parts.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "tight_address_space.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::Answer;
using ipc::ConnectionKind;
using ipc::encode_packet;
using ipc::Hello;
using ipc::Offer;
using ipc::Packet;
using ring::OwnedRegion;
using ring::PeerRegion;

/// Records of both rings: a number of 8 bytes behind 8 bytes of header.
constexpr std::uint64_t kRecordBytes = 16;
constexpr std::uint64_t kRingBytes = 4096;
/// Mapped, a region takes twice that.
constexpr std::uint64_t kLarge = 32ULL << 20U;

const Hello kHello{.kind = ConnectionKind::session};

std::span<const std::byte> bytes_of(const std::uint64_t& number) {
  return std::as_bytes(std::span(&number, 1));
}

void post(Port& port, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t number = first; number <= last; ++number)
    EXPECT_EQ(port.post_message(bytes_of(number)), Status::ok);
}

void receive(Port& port, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t number = first; number <= last; ++number) {
    const Message message = port.receive();
    ASSERT_TRUE(message) << to_string(message.status());
    EXPECT_EQ(message.sequence(), number);
    EXPECT_EQ(std::memcmp(message.bytes().data(), &number, sizeof number), 0);
  }
}

Descriptor copy_of(int descriptor) {
  return Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
}

/// What a joiner is offered.
struct Offered {
  Offer offer;
  Descriptor keeper_region;
  PeerRegion old_region;

  /// A right answer's region.
  OwnedRegion successor() const {
    const ring::Position released = old_region.view().control->release.released.load();
    return OwnedRegion::continue_from(old_region.view(), options(), released);
  }
  ring::RegionOptions options() const {
    ring::RegionOptions options;
    options.capacity = kRingBytes;
    options.replay_window = kRingBytes / 4;
    options.session = offer.session;
    options.epoch = offer.epoch;
    return options;
  }
};

/// A host in this process whose peer has been killed: of 3 messages each way, it has received 1, and the peer
/// too.
class HostileJoiner : public ::testing::Test {
 protected:
  HostileJoiner() {
    ChildProcess first([this] {
      Port port = join_session(path_, {.port = {.ring_bytes = kRingBytes}});
      post(port, 1, 3);
      receive(port, 1, 1);
      released_.notify();
      ::pause();
    });
    SessionOptions options{.port = {.ring_bytes = kRingBytes}, .handshake_timeout = 300ms};
    options.on_state = events_.handler();
    port_.emplace(host_session(path_, options));
    post(*port_, 1, 3);
    receive(*port_, 1, 1);
    released_.wait();
    first.signal(SIGKILL);
    EXPECT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
    before_ = open_descriptors();
  }

  PacketSocket connect() const { return ipc::connect_until(path_, ::geteuid(), deadline_in(10s)); }

  Offered offer_for(PacketSocket& joiner) {
    joiner.send(encode_packet(kHello), {}, deadline_in(10s));
    Packet packet = joiner.receive(deadline_in(10s));
    const auto offer = ipc::decode_packet<Offer>(packet.bytes);
    EXPECT_EQ(packet.descriptors.size(), 3U);
    return {offer, std::move(packet.descriptors.at(0)),
            PeerRegion::open(std::move(packet.descriptors.at(2)), offer.session, ring::EpochRange(1, 100))};
  }

  /// Whether the host says no, with these words.
  static ::testing::AssertionResult is_refused(PacketSocket& joiner, const std::string& words) {
    return throws(connect_errc::refused, words,
                  [&] { (void)ipc::decode_packet<ipc::Welcome>(joiner.receive(deadline_in(10s)).bytes); });
  }

  void expect_answer_refused(const std::string& words,
                             const std::function<void(PacketSocket&, const Offered&)>& answer) {
    SCOPED_TRACE(words);
    {
      PacketSocket joiner = connect();
      const Offered offered = offer_for(joiner);
      answer(joiner, offered);
      EXPECT_TRUE(is_refused(joiner, words));
    }
    EXPECT_TRUE(comes_true([&] { return open_descriptors() == before_; })) << "a descriptor is left";
  }

  static void answer_with(PacketSocket& joiner, int region) {
    joiner.send(encode_packet(Answer{}), std::span(&region, 1), deadline_in(10s));
  }

  /// An otherwise right answer whose region was changed.
  void expect_region_refused(const std::string& words,
                             const std::function<void(const ring::OwnView&, const Offered&)>& change) {
    expect_answer_refused(words, [&](PacketSocket& joiner, const Offered& offered) {
      const OwnedRegion region = offered.successor();
      change(region.view(), offered);
      answer_with(joiner, region.descriptor());
    });
  }

  /// Nothing of the session was harmed: the next process goes on as if nobody had been there.
  void expect_next_goes_on() {
    ChildProcess next([this] {
      Port port = join_session(path_);
      EXPECT_EQ(port.next_sequence(), 4U);
      post(port, 4, 4);
      receive(port, 2, 3);
      EXPECT_EQ(port.wait_until_consumed(deadline_in(20s)), Status::ok);
    });
    receive(*port_, 2, 4);
    EXPECT_EQ(port_->wait_until_consumed(deadline_in(20s)), Status::ok);
    EXPECT_TRUE(next.wait_for(20s)->ok());
    EXPECT_EQ(port_->receive().status(), Status::closed);  // and nothing else
  }

  const Watchdog watchdog_{60s, "a hostile handshake"};
  TempDirectory directory_;
  std::string path_ = directory_.file("channel");
  ProcessSignal released_;
  Events events_;
  std::optional<Port> port_;
  std::size_t before_ = 0;
};

TEST_F(HostileJoiner, IsRefusedForABadHello) {
  const auto refused = [&](std::span<const std::byte> packet, const std::vector<int>& descriptors,
                           const std::string& words) {
    PacketSocket joiner = connect();
    joiner.send(packet, descriptors, deadline_in(10s));
    EXPECT_TRUE(is_refused(joiner, words));
  };
  const Hello hello = kHello;
  refused(encode_packet(hello).first(47), {}, "expected packet type 1 of 48 bytes");
  refused(encode_packet(ipc::Welcome{}), {}, "expected packet type 1");
  refused(encode_packet(hello), {STDERR_FILENO}, "expected no descriptors");
  Hello stateful = kHello;
  stateful.standing = ipc::Standing::keeper;
  refused(encode_packet(stateful), {}, "has its state");
  stateful.standing = ipc::Standing{3};
  refused(encode_packet(stateful), {}, "expected a standing of 0 to 2, got 3");
  refused(encode_packet(Hello{}), {}, "use join_session(), not connect()");
  refused(encode_packet(Hello{.kind = ConnectionKind{3}}), {}, "expected a connection of kind 1 or 2, got 3");
  expect_next_goes_on();
}

TEST_F(HostileJoiner, IsRefusedForABadAnswer) {
  const auto answer = [this](const std::string& words, std::span<const std::byte> packet,
                             const std::vector<int>& descriptors) {
    expect_answer_refused(words, [&](PacketSocket& joiner, const Offered&) {
      joiner.send(packet, descriptors, deadline_in(10s));
    });
  };
  const Answer without_pidfd;
  Answer with_pidfd;
  with_pidfd.has_pidfd = 1;
  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ++before_;
  const int null = nothing.get();
  answer("expected packet type 4 of 16 bytes", encode_packet(without_pidfd).first(15), {null});
  answer("expected packet type 4", encode_packet(ipc::Welcome{}), {});
  answer("expected 1 descriptors, got 0", encode_packet(without_pidfd), {});
  answer("expected 2 descriptors, got 1", encode_packet(with_pidfd), {null});
  answer("expected 2 descriptors, got 8", encode_packet(with_pidfd), std::vector<int>(8, null));
  answer("is no pidfd", encode_packet(with_pidfd), {null, null});
  answer("expected a memfd", encode_packet(without_pidfd), {null});
  expect_next_goes_on();
}

TEST_F(HostileJoiner, IsRefusedForARegionOfAnotherConnection) {
  const auto region = [this](const std::string& words, auto make) {
    expect_answer_refused(words, [&](PacketSocket& joiner, const Offered& offered) {
      const Descriptor descriptor = make(offered);
      answer_with(joiner, descriptor.get());
    });
  };
  const auto created = [](const ring::RegionOptions& options) {
    return copy_of(OwnedRegion::create(options).descriptor());
  };
  region("expected epoch 2, got 1",
         [](const Offered& offered) { return copy_of(offered.keeper_region.get()); });
  region("expected epoch 2, got 1",
         [](const Offered& offered) { return copy_of(offered.old_region.descriptor()); });
  region("expected this session's id", [&](const Offered& offered) {
    ring::RegionOptions options = offered.options();
    options.session.at(0) ^= 1U;
    return created(options);
  });
  region("expected a ring of 4096 bytes", [&](const Offered& offered) {
    ring::RegionOptions options = offered.options();
    options.capacity = 2 * kRingBytes;
    return created(options);
  });
  region("with a window of 1024", [&](const Offered& offered) {
    ring::RegionOptions options = offered.options();
    options.replay_window = 512;
    return created(options);
  });
  region("expected a tail of at least 48",
         [&](const Offered& offered) { return created(offered.options()); });
  expect_next_goes_on();
}

TEST_F(HostileJoiner, IsRefusedForALargeRegionBeforeThatIsMapped) {
  if (!kAddressSpaceCanBeTight) GTEST_SKIP() << "a sanitizer needs address space of its own";
  std::optional<TightAddressSpace> tight;
  expect_answer_refused("expected a ring of 4096 bytes", [&](PacketSocket& joiner, const Offered& offered) {
    ring::RegionOptions options = offered.options();
    options.capacity = kLarge;
    const Descriptor region = copy_of(OwnedRegion::create(options).descriptor());
    tight.emplace(kLarge);
    answer_with(joiner, region.get());
  });
  tight.reset();
  expect_next_goes_on();
}

TEST_F(HostileJoiner, IsRefusedForARegionThatLies) {
  using ring::OwnView;
  const auto shift = [](std::atomic<std::uint64_t>& word, std::uint64_t by) { word.store(word.load() + by); };
  expect_region_refused("expected a tail of at least 48", [&](const OwnView& view, const Offered&) {
    shift(view.control->tail.tail, -kRecordBytes);
  });
  expect_region_refused("expected a tail behind its last record", [&](const OwnView& view, const Offered&) {
    shift(view.control->tail.tail, kRecordBytes);
  });
  expect_region_refused("expected one of our records at the released",
                        [&](const OwnView& view, const Offered&) {
                          view.control->release.released = 4 * kRecordBytes;  // ahead of what we have posted
                        });
  expect_region_refused("expected one of our records at the released",
                        [&](const OwnView& view, const Offered&) {
                          view.control->release.released = kRecordBytes + 8;  // inside one
                        });
  expect_region_refused(
      "expected one of our records at the released",
      [&](const OwnView& view, const Offered&) { view.control->release.released = kRecordBytes + 1; });
  expect_region_refused("expected a released position of at least",
                        [&](const OwnView& view, const Offered& offered) {
                          const auto& words = *offered.old_region.view().control;
                          view.control->release.released = words.release.released - 8;
                        });
  expect_region_refused("broken", [&](const OwnView& view, const Offered&) {
    view.data[kRecordBytes + 4] ^= std::byte{1};  // a record's number
  });
  expect_region_refused("broken", [&](const OwnView& view, const Offered&) {
    view.data[2 * kRecordBytes + 2] ^= std::byte{1};  // a record's length
  });
  expect_region_refused("expected message 2 to be the next, got 3", [&](const OwnView& view, const Offered&) {
    for (std::uint64_t record = 0; record < 3; ++record)
      view.data[record * kRecordBytes + 4] = std::byte(record + 2);
    shift(view.control->history.oldest_sequence, 1);
    shift(view.control->tail.tail_sequence, 1);
  });
  expect_next_goes_on();
}

TEST_F(HostileJoiner, MakesTheNextWaitNoLongerThanTheHandshakesTime) {
  PacketSocket silent = connect();
  EXPECT_TRUE(is_refused(silent, "didn't finish its handshake in time"));
  PacketSocket stops_half_way = connect();
  const Offered offered = offer_for(stops_half_way);
  EXPECT_TRUE(is_refused(stops_half_way, "didn't finish its handshake in time"));
  // It comes too late with a right answer.
  try {
    answer_with(stops_half_way, offered.successor().descriptor());
  } catch (const error& why) {
    EXPECT_EQ(why.code(), connect_errc::peer_gone);
  }
  PacketSocket hangs_up = connect();
  (void)offer_for(hangs_up);
  hangs_up.shut_down();
  expect_next_goes_on();
}

TEST_F(HostileJoiner, LeavesToBeReceivedWhatItsPredecessorHadPublished) {
  {
    PacketSocket hangs_up = connect();
    (void)offer_for(hangs_up);
  }
  EXPECT_EQ(port_->receive_for(10s).sequence(), 2U);
}

TEST_F(HostileJoiner, IsTurnedAwayWhenItWantsAPlainConnection) {
  EXPECT_TRUE(throws(connect_errc::refused, "a session is offered here: use join_session(), not connect()",
                     [&] { (void)sluice::connect(path_, {.timeout = 10s}); }));
  expect_next_goes_on();
}

// What it says waits for the session's thread, which has more to do than to listen.
TEST_F(HostileJoiner, ThatNeverStopsTalkingHoldsUpNobody) {
  ChildProcess talker([this] {
    const ipc::Plan plan{.options = {.port = {.ring_bytes = kRingBytes}}};
    const ipc::Opened opened = ipc::knock(path_, ::geteuid(), plan, 10s, deadline_in(10s), {});
    released_.notify();
    try {
      for (;;) {
        ipc::send_packet(opened.connection.socket.get(), encode_packet(ipc::Welcome{}), {}, deadline_in(10s));
      }
    } catch (const error& why) {
      EXPECT_EQ(why.code(), connect_errc::peer_gone);
    }
  });
  released_.wait();
  EXPECT_TRUE(talker.wait_for(20s)->ok()) << "it was let go";
  EXPECT_TRUE(events_.wait_for(SessionState::resumed));
  EXPECT_TRUE(events_.wait_for(SessionState::waiting_for_peer));
}

// Its peer was being replaced, and lives: nothing that it may still write is read.
TEST(ExpiredSession, SaysInEveryCallThatThePeerDied) {
  const Watchdog watchdog(60s, "a session that expires");
  const TempDirectory directory;
  const std::string path = directory.file("channel");
  const ChildProcess peer([&] {
    Port port = join_session(path);
    EXPECT_EQ(port.post_message("before it was replaced"), Status::ok);
    ::pause();
  });
  Events events;
  SessionOptions options{.on_state = events.handler(), .resume_window = 100ms, .replace_living_peer = true};
  Port port = host_session(path, options);
  {
    PacketSocket joiner = ipc::connect_until(path, ::geteuid(), deadline_in(10s));
    joiner.send(encode_packet(kHello), {}, deadline_in(10s));
    (void)joiner.receive(deadline_in(10s));
  }
  ASSERT_TRUE(events.wait_for(SessionState::closed));
  EXPECT_EQ(port.try_receive().status(), Status::peer_died);
  EXPECT_EQ(port.receive_for(1ms).status(), Status::peer_died);
  EXPECT_EQ(port.receive().status(), Status::peer_died);
  EXPECT_EQ(port.try_post_message({}), Status::peer_died);
  EXPECT_EQ(port.post_message({}), Status::peer_died);
  EXPECT_EQ(port.wait_closed(), Status::peer_died);
  EXPECT_FALSE(port.is_open());
}

TEST(Resumption, LooksAtAPeersRingNoLongerThanItsDeadline) {
  const ring::testing::RingPair pair({.capacity = 1U << 20U});
  const auto producer = pair.producer();
  for (int i = 0; i < 50'000; ++i) ASSERT_EQ(producer->try_post({}), Status::ok);
  const ring::PeerView& ring = pair.a_seen();
  const auto is_late = [](const auto& step) { return throws(errc::timed_out, "in time", step); };
  EXPECT_TRUE(is_late([&] { (void)ipc::resumed_at(0, ring, Deadline{}); }));
  EXPECT_TRUE(is_late([&] { (void)ipc::find_start(ring, 400'000, {}, std::nullopt, Deadline{}); }));
  EXPECT_TRUE(is_late([&] { ipc::check_successor(ring, ring, pair.b_seen(), {}, Deadline{}); }));
}

/// A process that says to a host that is started anew that it has the state of a session.
TEST(FreshHost, TakesNoMoreMemoryThanItsOptionsSayAndGoesOnWithTheNext) {
  const Watchdog watchdog(60s, "a joiner that claims much");
  const TempDirectory directory;
  const std::string path = directory.file("channel");
  ChildProcess joiners([&] {
    ring::RegionOptions options;
    options.capacity = 16 * kRingBytes;
    options.replay_window = 0;
    options.session = {1, 2, 3};
    options.epoch = 1;
    const OwnedRegion region = OwnedRegion::create(options);
    PacketSocket joiner = ipc::connect_until(path, ::geteuid(), deadline_in(10s));
    Hello hello = kHello;
    hello.standing = ipc::Standing::keeper;
    hello.session = options.session;
    hello.epoch = 1;
    joiner.send(encode_packet(hello), {}, deadline_in(10s));
    (void)ipc::decode_packet<ipc::Request>(joiner.receive(deadline_in(10s)).bytes);
    const Offer offer{.session = options.session, .epoch = 2, .has_old_region = 1};
    const OwnedRegion old = OwnedRegion::create(options);
    const std::vector<int> regions{region.descriptor(), old.descriptor()};
    joiner.send(encode_packet(offer), regions, deadline_in(10s));
    EXPECT_TRUE(throws(connect_errc::refused, "at most the 4096 bytes that are wanted here, got 65536",
                       [&] { (void)ipc::decode_packet<Answer>(joiner.receive(deadline_in(10s)).bytes); }));
    Port port = join_session(path, {.port = {.ring_bytes = 16 * kRingBytes}});
    EXPECT_TRUE(port.receive());
  });
  Port port = host_session(path, {.port = {.ring_bytes = kRingBytes}});
  EXPECT_EQ(port.session()->epoch, 1U);
  EXPECT_EQ(port.post_message({}), Status::ok);
  EXPECT_TRUE(joiners.wait_for(20s)->ok());
}

TEST(FreshHost, RefusesItsOwnRegionSentBackAndGoesOnWithTheNext) {
  const Watchdog watchdog(60s, "a joiner that sends back what it got");
  const TempDirectory directory;
  const std::string path = directory.file("channel");
  ChildProcess joiners([&] {
    PacketSocket joiner = ipc::connect_until(path, ::geteuid(), deadline_in(10s));
    joiner.send(encode_packet(kHello), {}, deadline_in(10s));
    const Packet offer = joiner.receive(deadline_in(10s));
    const int region = offer.descriptors.front().get();
    joiner.send(encode_packet(Answer{}), std::span(&region, 1), deadline_in(10s));
    EXPECT_TRUE(throws(connect_errc::refused, "one that is in use already", [&] {
      (void)ipc::decode_packet<ipc::Welcome>(joiner.receive(deadline_in(10s)).bytes);
    }));
    EXPECT_EQ(join_session(path).post_message("here"), Status::ok);
  });
  EXPECT_EQ(host_session(path).receive().text(), "here");
  EXPECT_TRUE(joiners.wait_for(20s)->ok());
}

/// A joiner in this process, and a keeper that lies.
class HostileKeeper : public ::testing::Test {
 protected:
  using Descriptors = std::vector<int>;

  HostileKeeper() {
    options_.capacity = kRingBytes;
    options_.replay_window = kRingBytes / 4;
    options_.session = {1, 2, 3};
    options_.epoch = 1;
  }

  void expect_refusal(std::error_code code, const std::string& words, const Offer& offer,
                      const Descriptors& descriptors) {
    SCOPED_TRACE(words);
    ipc::ListeningSocket listener(path_);
    const std::size_t before = open_descriptors();
    std::future<::testing::AssertionResult> joining = std::async(std::launch::async, [&] {
      return throws(code, words, [&] { (void)join_session(path_, {.port = {.ring_bytes = kRingBytes}}); });
    });
    ASSERT_TRUE(base::wait_for_events(listener.fd(), POLLIN, deadline_in(10s)));
    {
      ipc::AcceptResult accepted = listener.accept();
      ASSERT_EQ(accepted.outcome, ipc::AcceptOutcome::accepted);
      PacketSocket socket = std::move(accepted.connection);
      EXPECT_EQ(ipc::decode_packet<Hello>(socket.receive(deadline_in(10s)).bytes).kind,
                ConnectionKind::session);
      socket.send(encode_packet(offer), descriptors, deadline_in(10s));
      EXPECT_TRUE(joining.get());
      EXPECT_TRUE(throws(connect_errc::refused, "", [&] {  // it says why it doesn't come
        (void)ipc::decode_packet<Answer>(socket.receive(deadline_in(10s)).bytes);
      }));
    }
    EXPECT_TRUE(comes_true([&] { return open_descriptors() == before; })) << "a descriptor is left";
  }

  Offer offer(bool has_old_region) const {
    Offer offer;
    offer.session = options_.session;
    offer.epoch = 2;
    offer.has_old_region = has_old_region ? 1 : 0;
    return offer;
  }

  const Watchdog watchdog_{60s, "a hostile handshake"};
  TempDirectory directory_;
  std::string path_ = directory_.file("channel");
  ring::RegionOptions options_;
};

TEST_F(HostileKeeper, IsRefusedForABadOffer) {
  const OwnedRegion own = OwnedRegion::create(options_);
  const int region = own.descriptor();
  Offer without_epoch = offer(true);
  without_epoch.epoch = 0;
  expect_refusal(connect_errc::protocol, "an offer of epoch 0", without_epoch, {region, region});
  Offer odd = offer(true);
  odd.has_old_region = 2;
  expect_refusal(connect_errc::protocol, "has old region: expected 0 or 1, got 2", odd, {region, region});
  Offer odder = offer(false);
  odder.has_pidfd = 2;
  expect_refusal(connect_errc::protocol, "has pidfd: expected 0 or 1, got 2", odder, {region, region});
  odder.has_pidfd = 1;
  expect_refusal(connect_errc::protocol, "the second descriptor is no pidfd", odder, {region, region});
  expect_refusal(connect_errc::protocol, "expected 2 descriptors, got 0", offer(true), {});
  expect_refusal(connect_errc::protocol, "expected 2 descriptors, got 1", offer(true), {region});
  expect_refusal(connect_errc::protocol, "expected 1 descriptors, got 2", offer(false), {region, region});
  expect_refusal(ring::errc::bad_region, "expected epoch 2, got 1", offer(false), {region});
  const Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  expect_refusal(ring::errc::bad_region, "expected a memfd", offer(true), {null.get(), region});
  expect_refusal(ring::errc::bad_region, "expected a memfd", offer(true), {region, null.get()});
}

TEST_F(HostileKeeper, DoesNotDecideHowMuchMemoryAJoinerTakes) {
  ring::RegionOptions large = options_;
  large.capacity = 1024 * kRingBytes;
  const OwnedRegion own = OwnedRegion::create(options_);
  const OwnedRegion old = OwnedRegion::create(large);
  expect_refusal(ring::errc::bad_region, "at most the 4096 bytes that are wanted here, got 4194304",
                 offer(true), {own.descriptor(), old.descriptor()});
}

TEST_F(HostileKeeper, IsRefusedForALargeRegionBeforeThatIsMapped) {
  if (!kAddressSpaceCanBeTight) GTEST_SKIP() << "a sanitizer needs address space of its own";
  ring::RegionOptions large = options_;
  large.capacity = kLarge;
  const OwnedRegion own = OwnedRegion::create(options_);
  const OwnedRegion old = OwnedRegion::create(large);
  const TightAddressSpace tight(kLarge);
  expect_refusal(ring::errc::bad_region, "at most the 4096 bytes that are wanted here, got 33554432",
                 offer(true), {own.descriptor(), old.descriptor()});
}

TEST_F(HostileKeeper, IsRefusedForOneRegionOfferedAsTwo) {
  const OwnedRegion own = OwnedRegion::create(options_);
  expect_refusal(ring::errc::bad_region, "one that is in use already", offer(true),
                 {own.descriptor(), own.descriptor()});
}

TEST_F(HostileKeeper, IsRefusedForRegionsThatLie) {
  const OwnedRegion own = OwnedRegion::create(options_);
  const auto refused = [&](const std::string& words, const ring::RegionOptions& options, auto change) {
    const OwnedRegion old = OwnedRegion::create(options);
    change(old.view());
    expect_refusal(ring::errc::bad_region, words, offer(true), {own.descriptor(), old.descriptor()});
  };
  const auto nothing = [](const ring::OwnView&) {};
  ring::RegionOptions other_session = options_;
  other_session.session.at(0) ^= 1U;
  refused("expected this session's id", other_session, nothing);
  ring::RegionOptions later = options_;
  later.epoch = 3;
  refused("expected epoch 1 to 2, got 3", later, nothing);
  refused("the record at the released position", options_,
          [](const ring::OwnView& view) { view.control->release.released = 64; });
  refused("expected consecutive records up to the tail", options_, [](const ring::OwnView& view) {
    const std::uint64_t header = ring::make_header(8, 7);
    std::memcpy(view.data, &header, sizeof header);
    const std::uint64_t next = ring::make_header(8, 9);
    std::memcpy(view.data + kRecordBytes, &next, sizeof next);
  });
}

}  // namespace
}  // namespace sluice::test
