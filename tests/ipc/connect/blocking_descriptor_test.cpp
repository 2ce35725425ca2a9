// Peers that send a descriptor whose close blocks: nobody but a thread made for it waits there.
#include "blocking_descriptor.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "handshake_messages.hpp"
#include "listening_socket.hpp"
#include "opening.hpp"
#include "packet_pair.hpp"
#include "process_signal.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::encode_packet;
using ipc::Hello;

/// Another user, if this process can become one.
constexpr uid_t kNobody = 65534;

class BlockingClose : public ::testing::Test {
 protected:
  void SetUp() override {
    if (BlockingDescriptor().get() < 0) GTEST_SKIP() << "needs TCP on the loopback device";
  }
  void TearDown() override {
    // Far less than the minute that the close takes, and more than a loaded machine needs.
    EXPECT_LT(std::chrono::steady_clock::now() - start_, 30s);
  }

  /// Runs `body` in a process of its own, which then stands still.
  ChildProcess attacker(const std::function<void(BlockingDescriptor&)>& body) {
    return ChildProcess([&] {
      BlockingDescriptor blocking;
      body(blocking);
      // It waits here if the victim was done first.
      std::thread closer([&] { blocking.let_go(); });
      std::this_thread::sleep_for(50ms);
      stand_still();
    });
  }
  void stand_still() const {
    done_.notify();
    for (;;) ::pause();
  }
  static void keep_open(PacketSocket& socket) { static_cast<void>(socket.release().release()); }
  static std::vector<int> copies_of(const BlockingDescriptor& blocking, std::size_t count) {
    return std::vector<int>(count, blocking.get());
  }
  PacketSocket connect_raw() const { return ipc::connect_until(path_, ::geteuid(), soon()); }

  /// A connection as the library makes it, to be misused.
  ipc::Opened knock(ipc::ConnectionKind kind) const {
    const ipc::Plan plan{.kind = kind};
    return ipc::knock(path_, ::geteuid(), plan, 10s, soon(), {});
  }
  static void send_on(const ipc::Opened& opened, const BlockingDescriptor& blocking) {
    ipc::send_packet(opened.connection.socket.get(), encode_packet(ipc::Welcome{}), copies_of(blocking, 8),
                     soon());
  }

  void expect_served(Listener& listener) const {
    ChildProcess client([this] { EXPECT_EQ(sluice::connect(path_).post_message({}), Status::ok); });
    std::optional<Port> port = listener.accept_for(10s);
    ASSERT_TRUE(port);
    EXPECT_TRUE(port->receive());
  }

  const Watchdog watchdog_{50s, "a close that blocks"};
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  TempDirectory directory_;
  std::string path_ = directory_.file("channel").string();
  ProcessSignal done_;
};

TEST_F(BlockingClose, OfAClientsDescriptorsHoldsUpNoListener) {
  int refused = 0;
  std::string reason;
  Listener listener = listen(path_, {.on_refused = [&](const std::string& why) {
                               ++refused;
                               reason = why;
                             }});
  ChildProcess child = attacker([this](BlockingDescriptor& blocking) {
    PacketSocket client = connect_raw();
    client.send(encode_packet(Hello{}), copies_of(blocking, 2), soon());
    keep_open(client);
  });
  for (int i = 0; i < 1000 && refused == 0; ++i) EXPECT_FALSE(listener.accept_for(10ms));
  EXPECT_NE(reason.find("expected no descriptors, got 2"), std::string::npos) << reason;
  expect_served(listener);
}

TEST_F(BlockingClose, OfARefusedUsersDescriptorsHoldsUpNoListener) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  int refused = 0;
  ListenOptions options;
  options.allowed_users = {::geteuid(), kNobody - 1};
  options.on_refused = [&](const std::string&) { ++refused; };
  Listener listener = listen(path_, std::move(options));
  ChildProcess child = attacker([this](BlockingDescriptor& blocking) {
    const uid_t owner = ::geteuid();
    ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
    PacketSocket client = ipc::connect_until(path_, owner, soon());
    try {
      ipc::send_packet(client.fd(), encode_packet(Hello{}), copies_of(blocking, 8), soon());
    } catch (const error& why) {  // the kernel doesn't let them in
      EXPECT_EQ(why.code(), std::errc::operation_not_permitted);
      stand_still();
    }
    keep_open(client);
  });
  done_.wait();
  for (int i = 0; i < 1000 && refused == 0; ++i) EXPECT_FALSE(listener.accept_for(10ms));
  EXPECT_EQ(refused, 1);
  expect_served(listener);
}

// As many as may be closed at once: whoever causes them doesn't use up our descriptors and threads.
TEST_F(BlockingClose, OfManyDescriptorsHasABoundAndEndsWithTheirSender) {
  constexpr std::size_t kPackets = 32;  // and so many clients may wait that have said nothing
  constexpr std::size_t kEach = 8;
  static_assert(kPackets * kEach == base::kMostClosedAside);
  Listener listener = listen(path_);
  ProcessSignal admitted;
  ChildProcess child([&] {
    std::list<BlockingDescriptor> blocking(kPackets);
    std::vector<PacketSocket> clients;
    for (std::size_t i = 0; i < kPackets; ++i) clients.push_back(connect_raw());
    done_.notify();
    admitted.wait();
    const Descriptor harmless(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto client = clients.begin();
    for (BlockingDescriptor& first : blocking) {
      std::vector<int> descriptors(kEach, harmless.get());
      descriptors.front() = first.get();  // the others wait behind it
      client++->send(encode_packet(Hello{}), descriptors, soon());
      first.let_go();  // on its way it is the victim's to close
    }
    stand_still();
  });
  done_.wait();
  EXPECT_FALSE(listener.accept_for(200ms));
  admitted.notify();
  done_.wait();
  for (int i = 0; i < 1000 && base::closed_aside() < base::kMostClosedAside; ++i)
    EXPECT_FALSE(listener.accept_for(10ms));
  EXPECT_LE(base::closed_aside(), base::kMostClosedAside);

  child.signal(SIGKILL);  // which lets every close go
  ChildProcess next([this] { EXPECT_EQ(sluice::connect(path_).post_message({}), Status::ok); });
  std::optional<Port> port = listener.accept_for(20s);
  ASSERT_TRUE(port);
  EXPECT_TRUE(port->receive());
}

// As before Linux 6.16, where descriptors come in before anybody has accepted.
TEST_F(BlockingClose, OfWhatWaitsInTheQueueHoldsUpNoListenersEnd) {
  base::PeerSocket listening(Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
  const ipc::SocketAddress address(path_);
  ASSERT_EQ(::bind(listening.get(), address.get(), address.size_bytes()), 0);
  ASSERT_EQ(::listen(listening.get(), 4), 0);
  ChildProcess child = attacker([this](BlockingDescriptor& blocking) {
    PacketSocket client = connect_raw();
    client.send(encode_packet(Hello{}), {}, soon());
    client.send(encode_packet(Hello{}), copies_of(blocking, 1), soon());
    keep_open(client);
  });
  done_.wait();
  listening.close();
  EXPECT_EQ(base::closed_aside(), 1U);
}

TEST_F(BlockingClose, OfAPeersDescriptorsHoldsUpNoPort) {
  Listener listener = listen(path_);
  ChildProcess child = attacker([this](BlockingDescriptor& blocking) {
    static const ipc::Opened opened = knock(ipc::ConnectionKind::plain);
    send_on(opened, blocking);
  });
  std::optional<Port> port = listener.accept_for(10s);
  ASSERT_TRUE(port);
  done_.wait();
  port.reset();
}

TEST_F(BlockingClose, OfAPeersDescriptorsHoldsUpNoSession) {
  ChildProcess child = attacker([this](BlockingDescriptor& blocking) {
    static const ipc::Opened opened = knock(ipc::ConnectionKind::session);
    send_on(opened, blocking);
  });
  Port port = host_session(path_);
  done_.wait();
  port.close();
}

TEST_F(BlockingClose, OfAHostsDescriptorsHoldsUpNoConnector) {
  ProcessSignal listening;
  ChildProcess child = attacker([&](BlockingDescriptor& blocking) {
    ipc::ListeningSocket socket(path_);
    listening.notify();
    base::wait_for_events(socket.fd(), POLLIN, soon());
    PacketSocket client = socket.accept().connection;
    (void)client.receive(soon());
    client.send(encode_packet(ipc::Offer{}), copies_of(blocking, 1), soon());
    client.send(encode_packet(ipc::Offer{}), copies_of(blocking, 8), soon());
    keep_open(client);
  });
  listening.wait();
  EXPECT_TRUE(throws(ring::errc::bad_region, "expected a memfd", [&] { (void)sluice::connect(path_); }));
}

}  // namespace
}  // namespace sluice::test
