// The handshake against clients and listeners that break its rules.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "full_descriptor_table.hpp"
#include "handshake_messages.hpp"
#include "open_descriptors.hpp"
#include "opening.hpp"
#include "packet_pair.hpp"
#include "peer_watcher.hpp"
#include "seqpacket.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice/ring/region.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "tight_address_space.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::Answer;
using ipc::encode_packet;
using ipc::Hello;
using ipc::Offer;
using ipc::Welcome;

/// Mapped, a region takes twice that.
constexpr std::uint64_t kLarge = 32ULL << 20U;

Descriptor large_region(ring::RegionOptions options) {
  options.capacity = kLarge;
  options.replay_window = 0;
  return Descriptor(::fcntl(ring::OwnedRegion::create(options).descriptor(), F_DUPFD_CLOEXEC, 0));
}

class Handshake : public ::testing::Test {
 protected:
  Handshake() {
    ListenOptions options;
    options.port.ring_bytes = 4096;
    options.handshake_timeout = 600ms;
    options.on_refused = [this](const std::string& reason) { refusals_.push_back(reason); };
    listener_ = std::make_unique<Listener>(listen(path_, std::move(options)));
  }

  PacketSocket raw_client() const { return ipc::connect_until(path_, ::geteuid(), deadline_in(10s)); }

  /// Lets the listener work until it has refused somebody; it must accept nobody meanwhile.
  void expect_refusal(const std::string& words) {
    for (int i = 0; i < 100 && refusals_.empty(); ++i) EXPECT_FALSE(listener_->accept_for(20ms));
    ASSERT_EQ(refusals_.size(), 1U);
    EXPECT_NE(refusals_[0].find(words), std::string::npos) << refusals_[0];
    expect_next_client_is_served();
  }

  void expect_next_client_is_served() {
    std::thread client([&] {
      Port port = connect(path_);
      EXPECT_EQ(port.post_message({}), Status::ok);
      EXPECT_EQ(port.wait_until_consumed(deadline_in(10s)), Status::ok);
    });
    std::optional<Port> port = listener_->accept_for(10s);
    ASSERT_TRUE(port);
    EXPECT_TRUE(port->receive());
    client.join();
  }

  /// A client that sends a right hello and waits for the offer.
  Offer offer_for(PacketSocket& client) {
    client.send(encode_packet(Hello{}), {}, deadline_in(10s));
    EXPECT_FALSE(listener_->accept_for(20ms));
    return ipc::decode_packet<Offer>(client.receive(deadline_in(10s)).bytes);
  }

  void expect_answer_refused(const Answer& answer, const std::vector<int>& descriptors,
                             const std::string& words) {
    PacketSocket client = raw_client();
    (void)offer_for(client);
    client.send(encode_packet(answer), descriptors, deadline_in(10s));
    expect_refusal(words);
  }

  Watchdog watchdog_{60s, "a test of the handshake"};
  TempDirectory directory_;
  std::string path_ = (directory_.path() / "channel").string();
  std::vector<std::string> refusals_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(Handshake, RefusesAnotherProtocolVersion) {
  PacketSocket client = raw_client();
  Hello hello;
  hello.prefix.version = 1;
  client.send(encode_packet(hello), {}, deadline_in(10s));
  expect_refusal("protocol version 2, got 1");
  EXPECT_TRUE(throws(connect_errc::bad_version, "the peer refused",
                     [&] { (void)ipc::decode_packet<Offer>(client.receive(deadline_in(10s)).bytes); }));
}

TEST_F(Handshake, RefusesAnotherLayout) {
  PacketSocket client = raw_client();
  Hello hello;
  hello.layout_hash ^= 1U;
  client.send(encode_packet(hello), {}, deadline_in(10s));
  expect_refusal("layout version");
}

TEST_F(Handshake, RefusesAHelloThatMakesNoSense) {
  PacketSocket client = raw_client();
  Hello hello;
  hello.kind = ipc::ConnectionKind{0};
  client.send(encode_packet(hello), {}, deadline_in(10s));
  expect_refusal("expected a connection of kind 1 or 2, got 0");
}

TEST_F(Handshake, RefusesAPlainConnectionWithAState) {
  PacketSocket client = raw_client();
  Hello hello;
  hello.standing = ipc::Standing::keeper;
  client.send(encode_packet(hello), {}, deadline_in(10s));
  expect_refusal("a plain connection has no state");
}

TEST_F(Handshake, RefusesAnAnswerThatMakesNoSense) {
  Answer answer;
  answer.has_pidfd = 2;
  expect_answer_refused(answer, {0, 0}, "has pidfd: expected 0 or 1, got 2");
}

TEST_F(Handshake, TellsAProcessThatJoinsASessionWhatIsOfferedHere) {
  ChildProcess joiner([this] {
    EXPECT_TRUE(throws(connect_errc::refused,
                       "plain connections are offered here: use connect(), not join_session()",
                       [&] { (void)join_session(path_, {.timeout = 10s}); }));
  });
  expect_refusal("use connect(), not join_session()");
  EXPECT_TRUE(joiner.wait_for(10s)->ok());
}

TEST_F(Handshake, RefusesWhatIsNoHandshakePacket) {
  PacketSocket client = raw_client();
  client.send(std::as_bytes(std::span("GET / HTTP/1.1")), {}, deadline_in(10s));
  expect_refusal("SLHS");
}

TEST_F(Handshake, RefusesAShortPacket) {
  PacketSocket client = raw_client();
  client.send(std::as_bytes(std::span("SL")).first(2), {}, deadline_in(10s));
  expect_refusal("at least 8 bytes");
}

TEST_F(Handshake, RefusesAPacketOutOfTurn) {
  PacketSocket client = raw_client();
  client.send(encode_packet(Welcome{}), {}, deadline_in(10s));
  expect_refusal("expected packet type 1");
}

TEST_F(Handshake, RefusesDescriptorsWhereNoneBelong) {
  PacketSocket client = raw_client();
  const std::vector<int> descriptors{0};
  EXPECT_FALSE(listener_->accept_for(20ms));  // lets the client in
  client.send(encode_packet(Hello{}), descriptors, deadline_in(10s));
  expect_refusal("no descriptors");
}

TEST_F(Handshake, RefusesAnAnswerWithoutARegion) {
  expect_answer_refused({}, {}, "expected 1 descriptors, got 0");
}

TEST_F(Handshake, RefusesAnAnswerWithTooManyDescriptors) {
  expect_answer_refused({}, {0, 0, 0}, "expected 1 descriptors, got 3");
}

TEST_F(Handshake, RefusesAPidfdThatIsNone) {
  const Descriptor region(::memfd_create("r", MFD_CLOEXEC));
  Answer answer;
  answer.has_pidfd = 1;
  expect_answer_refused(answer, {region.get(), 0}, "no pidfd");
}

TEST_F(Handshake, RefusesAnUnsealedRegion) {
  const Descriptor region(::memfd_create("r", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(region.get(), 12288), 0);
  expect_answer_refused({}, {region.get()}, "seals");
}

TEST_F(Handshake, RefusesAPipeForARegion) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  expect_answer_refused({}, {read_end.get()}, "memfd");
}

TEST_F(Handshake, RefusesARegionOfAnotherSession) {
  const ring::OwnedRegion region = ring::OwnedRegion::create({.capacity = 4096, .replay_window = 0});
  expect_answer_refused({}, {region.descriptor()}, "session");
}

TEST_F(Handshake, RefusesARegionThatDoesNotStartAtTheBeginning) {
  PacketSocket client = raw_client();
  const Offer offer = offer_for(client);
  const ring::OwnedRegion region = ring::OwnedRegion::create({.capacity = 4096,
                                                              .replay_window = 0,
                                                              .first_position = 64,
                                                              .session = offer.session,
                                                              .epoch = offer.epoch});
  const std::vector<int> descriptors{region.descriptor()};
  client.send(encode_packet(Answer{}), descriptors, deadline_in(10s));
  expect_refusal("new ring");
}

TEST_F(Handshake, RefusesItsOwnRegionSentBack) {
  PacketSocket client = raw_client();
  client.send(encode_packet(Hello{}), {}, deadline_in(10s));
  EXPECT_FALSE(listener_->accept_for(20ms));
  const ipc::Packet offer = client.receive(deadline_in(10s));
  const std::vector<int> descriptors{offer.descriptors.front().get()};
  client.send(encode_packet(Answer{}), descriptors, deadline_in(10s));
  expect_refusal("one that is in use already");
}

TEST_F(Handshake, RefusesALargeRegionBeforeItMapsIt) {
  if (!kAddressSpaceCanBeTight) GTEST_SKIP() << "a sanitizer needs address space of its own";
  PacketSocket client = raw_client();
  const Offer offer = offer_for(client);
  const Descriptor region =
      large_region({.first_position = 64, .session = offer.session, .epoch = offer.epoch});
  const std::vector<int> descriptors{region.get()};
  const TightAddressSpace tight(kLarge);
  client.send(encode_packet(Answer{}), descriptors, deadline_in(10s));
  expect_refusal("new ring");
}

TEST_F(Handshake, GivesUpOnAClientThatSaysNothing) {
  const PacketSocket client = raw_client();
  expect_refusal("in time");
}

TEST_F(Handshake, GivesUpOnAClientThatStopsHalfWay) {
  PacketSocket client = raw_client();
  (void)offer_for(client);
  expect_refusal("in time");
}

TEST_F(Handshake, ForgetsAClientThatHangsUp) {
  { const PacketSocket client = raw_client(); }
  expect_refusal("");
}

TEST_F(Handshake, ServesAClientWhileSilentOnesWait) {
  std::vector<PacketSocket> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(raw_client());
  expect_next_client_is_served();
}

TEST_F(Handshake, ServesEveryOneOfManyClientsDespiteSilentOnes) {
  std::vector<PacketSocket> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(raw_client());  // more than are served at once
  expect_next_client_is_served();
}

TEST_F(Handshake, LeaksNoDescriptorOverManyRefusals) {
  expect_next_client_is_served();
  const auto before = open_descriptors();
  for (int round = 0; round < 50; ++round) {
    const Descriptor region(::memfd_create("r", MFD_CLOEXEC));
    PacketSocket client = raw_client();
    (void)offer_for(client);
    const std::vector<int> descriptors{region.get()};
    client.send(encode_packet(Answer{}), descriptors, deadline_in(10s));
    EXPECT_FALSE(listener_->accept_for(5ms));
  }
  EXPECT_FALSE(listener_->accept_for(50ms));
  EXPECT_EQ(refusals_.size(), 50U);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Handshake, ServesLaterClientsAfterRunningOutOfDescriptors) {
  PacketSocket client = raw_client();
  {
    const FullDescriptorTable full;
    timespec before{};
    timespec after{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    EXPECT_FALSE(listener_->accept_for(1s));
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    const auto spent = std::chrono::seconds(after.tv_sec - before.tv_sec) +
                       std::chrono::nanoseconds(after.tv_nsec - before.tv_nsec);
    EXPECT_LT(spent, 50ms) << "CPU time of a second that the client waits";
  }
  expect_next_client_is_served();
}

TEST_F(Handshake, RefusesAUserWhoIsNotOnTheList) {
  const std::string path = (directory_.path() / "other").string();
  ListenOptions options;
  options.allowed_users = {::geteuid() + 1};
  options.on_refused = [this](const std::string& reason) { refusals_.push_back(reason); };
  Listener listener = listen(path, std::move(options));
  std::thread client(
      [&] { EXPECT_TRUE(throws(connect_errc::refused, "may not connect", [&] { (void)connect(path); })); });
  while (refusals_.empty()) EXPECT_FALSE(listener.accept_for(20ms));
  client.join();
  EXPECT_NE(refusals_[0].find("user " + std::to_string(::geteuid())), std::string::npos);
}

// The listener refuses before the hello, and hangs up: its reason waits behind a connection that is gone.
TEST(Connector, HearsARefusalThatCameBeforeItsHello) {
  PacketPair pair;
  pair.right.send(ipc::encode_refusal(error(connect_errc::refused, "user 7 may not connect")), {},
                  deadline_in(10s));
  pair.right = PacketSocket(Descriptor());
  const ipc::Plan plan{.kind = ipc::ConnectionKind::plain};
  std::optional<ipc::Opened> opened;
  ipc::Opening opening(base::PeerSocket(pair.left.release()), plan, nullptr, 10s, opened);
  opening.say_hello();
  EXPECT_TRUE(throws(connect_errc::refused, "user 7 may not connect", [&] { (void)opening.advance(); }));
}

TEST_F(Handshake, RefusesAListenerOfAnotherUser) {
  EXPECT_TRUE(
      throws(connect_errc::refused, "", [&] { (void)connect(path_, {.listener_user = ::geteuid() + 1}); }));
}

/// A listener of the test's own making: what a connector does with a hostile one.
class HostileListener : public ::testing::Test {
 protected:
  void expect_connect_fails(std::error_code code, const std::string& words,
                            const std::function<void(PacketSocket&)>& serve) {
    const Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const ipc::SocketAddress address(path_);
    ASSERT_EQ(::bind(socket.get(), address.get(), address.size_bytes()), 0);
    ASSERT_EQ(::listen(socket.get(), 4), 0);
    std::thread server([&] {
      PacketSocket client(
          Descriptor(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
      (void)client.receive(deadline_in(10s));
      serve(client);
    });
    EXPECT_TRUE(throws(code, words, [&] { (void)connect(path_, {.timeout = 500ms}); }));
    server.join();
  }

  Watchdog watchdog_{60s, "a test of a hostile listener"};
  TempDirectory directory_;
  std::string path_ = (directory_.path() / "channel").string();
};

TEST_F(HostileListener, IsLeftWhenItSaysNothing) {
  expect_connect_fails(errc::timed_out, "", [](PacketSocket& client) {
    try {
      (void)client.receive(deadline_in(10s));
    } catch (const error&) {
      return;
    }
  });
}

TEST_F(HostileListener, IsReportedWhenItHangsUp) {
  expect_connect_fails(connect_errc::peer_gone, "", [](PacketSocket& client) { client.shut_down(); });
}

TEST_F(HostileListener, IsQuotedWhenItRefuses) {
  expect_connect_fails(connect_errc::refused, "not\\x0atoday\\xe2\\x80\\xae", [](PacketSocket& client) {
    client.send(ipc::encode_refusal(error(connect_errc::refused, "not\ntoday\xe2\x80\xae")), {},
                deadline_in(10s));
  });
}

TEST_F(HostileListener, IsRefusedForAnOfferWithoutARegion) {
  expect_connect_fails(connect_errc::protocol, "descriptors", [](PacketSocket& client) {
    client.send(encode_packet(Offer{}), {}, deadline_in(10s));
  });
}

TEST_F(HostileListener, IsRefusedForAForgedRegion) {
  expect_connect_fails(ring::errc::bad_region, "seals", [](PacketSocket& client) {
    const Descriptor region(::memfd_create("r", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const std::vector<int> descriptors{region.get()};
    client.send(encode_packet(Offer{}), descriptors, deadline_in(10s));
  });
}

TEST_F(HostileListener, IsRefusedForALargeRegionBeforeThatIsMapped) {
  if (!kAddressSpaceCanBeTight) GTEST_SKIP() << "a sanitizer needs address space of its own";
  const Descriptor region = large_region({.first_position = 64, .epoch = 1});
  const TightAddressSpace tight(kLarge);
  expect_connect_fails(ring::errc::bad_region, "new ring", [&](PacketSocket& client) {
    const std::vector<int> descriptors{region.get()};
    client.send(encode_packet(Offer{}), descriptors, deadline_in(10s));
  });
}

TEST_F(HostileListener, IsRefusedForAnOfferOfNoConnection) {
  expect_connect_fails(connect_errc::protocol, "epoch 0", [](PacketSocket& client) {
    client.send(encode_packet(Offer{.epoch = 0}), {}, deadline_in(10s));
  });
}

TEST_F(HostileListener, IsRefusedForAnOfferToGoOnFromSomething) {
  expect_connect_fails(connect_errc::protocol, "goes on from nothing", [](PacketSocket& client) {
    const std::vector<int> descriptors{0, 0};
    client.send(encode_packet(Offer{.has_old_region = 1}), descriptors, deadline_in(10s));
  });
}

TEST_F(HostileListener, IsRefusedForARequestOfAStateThatNobodyHas) {
  expect_connect_fails(connect_errc::protocol, "expected packet type 3", [](PacketSocket& client) {
    client.send(encode_packet(ipc::Request{}), {}, deadline_in(10s));
  });
}

}  // namespace
}  // namespace sluice::test
