#include "seqpacket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "full_descriptor_table.hpp"
#include "open_descriptors.hpp"
#include "packet_pair.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::kMaxPacketBytes;

class Seqpacket : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(open_descriptors(), before_) << "descriptors leaked"; }

  Watchdog watchdog_{30s, "Seqpacket"};
  std::size_t before_ = open_descriptors();
};

// Sends what PacketSocket::send refuses to: any size, any number of copies of one descriptor.
void send_raw(int socket, std::size_t bytes, std::size_t descriptors) {
  std::vector<std::byte> payload(bytes, std::byte{'x'});
  std::vector<int> copies(descriptors, STDERR_FILENO);
  std::vector<std::byte> control(CMSG_SPACE(descriptors * sizeof(int)));
  iovec part{.iov_base = payload.data(), .iov_len = payload.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptors > 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    std::memcpy(CMSG_DATA(header), copies.data(), descriptors * sizeof(int));
  }
  ASSERT_EQ(::sendmsg(socket, &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes)) << std::strerror(errno);
}

TEST_F(Seqpacket, DeliversPacketsWholeAndInOrder) {
  PacketPair pair;
  const std::string longest(kMaxPacketBytes, 'z');
  pair.left.send(bytes_of("one"), {}, soon());
  pair.left.send(bytes_of(longest), {}, soon());
  pair.right.send(bytes_of("back"), {}, soon());
  EXPECT_EQ(text_of(pair.right.receive(soon())), "one");
  EXPECT_EQ(text_of(pair.right.receive(soon())), longest);
  EXPECT_EQ(text_of(pair.left.receive(soon())), "back");
  EXPECT_FALSE(pair.left.try_receive());
}

TEST_F(Seqpacket, PassesDescriptorsThatAreClosedOnExec) {
  PacketPair pair;
  const Descriptor memory(::memfd_create("seqpacket-test", MFD_CLOEXEC));
  struct stat sent {};
  ASSERT_EQ(::fstat(memory.get(), &sent), 0);
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{3}, ipc::kMaxPacketDescriptors}) {
    const std::vector<int> descriptors(count, memory.get());
    pair.left.send(bytes_of("d"), descriptors, soon());
    const auto packet = pair.right.receive(soon());
    ASSERT_EQ(packet.descriptors.size(), count);
    for (const Descriptor& descriptor : packet.descriptors) {
      struct stat received {};
      ASSERT_EQ(::fstat(descriptor.get(), &received), 0);
      EXPECT_EQ(received.st_ino, sent.st_ino);
      EXPECT_EQ(::fcntl(descriptor.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
  }
}

TEST_F(Seqpacket, RefusesToSendBeyondItsLimits) {
  PacketPair pair;
  const std::vector<int> nine(9, STDERR_FILENO);
  EXPECT_TRUE(throws(errc::misuse, "not 0", [&] { pair.left.send({}, {}, soon()); }));
  EXPECT_TRUE(throws(errc::misuse, "not 4097",
                     [&] { pair.left.send(bytes_of(std::string(4097, 'x')), {}, soon()); }));
  EXPECT_TRUE(throws(errc::misuse, "not 9", [&] { pair.left.send(bytes_of("x"), nine, soon()); }));
  EXPECT_FALSE(pair.right.try_receive()) << "nothing of it was sent";
}

TEST_F(Seqpacket, ClosesEverythingOfAPacketWithTooManyDescriptors) {
  PacketPair pair;
  const auto before = open_descriptors();
  for (const std::size_t count : {9U, 253U}) {
    send_raw(pair.left.fd(), 1, count);
    EXPECT_TRUE(throws(connect_errc::protocol, "more than 8 descriptors", [&] {
      pair.right.receive(soon());
    })) << count;
    EXPECT_TRUE(open_descriptors_become(before)) << count;
  }
}

TEST_F(Seqpacket, ClosesEverythingOfAPacketThatIsTooLong) {
  PacketPair pair;
  const auto before = open_descriptors();
  send_raw(pair.left.fd(), kMaxPacketBytes + 1, 3);
  EXPECT_TRUE(throws(connect_errc::protocol, "longer than 4096 bytes", [&] { pair.right.receive(soon()); }));
  EXPECT_TRUE(open_descriptors_become(before));
}

TEST_F(Seqpacket, BlamesItselfWhenItHasNoRoomForDescriptors) {
  PacketPair pair;
  const std::array<int, 3> descriptors{STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
  pair.left.send(bytes_of("d"), descriptors, soon());
  // The sanitizer's first look at a type needs descriptors of its own: let it see this error before there are
  // none.
  EXPECT_TRUE(throws(std::errc::too_many_files_open, "first", [] { throw_errno(EMFILE, "first"); }));
  EXPECT_TRUE(throws(std::errc::too_many_files_open, "receiving the descriptors", [&] {
    const FullDescriptorTable full;
    pair.right.receive(soon());
  }));
}

TEST_F(Seqpacket, ReportsAPeerThatClosed) {
  PacketPair pair;
  pair.left.send(bytes_of("last words"), {}, soon());
  pair.left = PacketSocket(Descriptor());
  EXPECT_EQ(text_of(pair.right.receive(soon())), "last words");
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.right.receive(soon()); }));
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.right.try_receive(); }));
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.right.send(bytes_of("x"), {}, soon()); }));
}

TEST_F(Seqpacket, StillReceivesWhatAPeerSentThatClosedWithoutReading) {
  PacketPair pair;
  pair.right.send(bytes_of("never read"), {}, soon());
  pair.left.send(bytes_of("refused because"), {}, soon());
  pair.left = PacketSocket(Descriptor());
  EXPECT_EQ(text_of(pair.right.receive(soon())), "refused because");
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.right.receive(soon()); }));
}

TEST_F(Seqpacket, TakesAnEmptyPacketForTheEnd) {
  PacketPair pair;
  const auto before = open_descriptors();
  send_raw(pair.left.fd(), 0, 2);
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.right.receive(soon()); }));
  EXPECT_TRUE(open_descriptors_become(before));
}

TEST_F(Seqpacket, ShutDownWakesAWaitingReceiver) {
  PacketPair pair;
  std::thread receiver(
      [&] { EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.right.receive(soon()); })); });
  pair.right.shut_down();
  receiver.join();
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.left.receive(soon()); }));
}

TEST_F(Seqpacket, KeepsItsDeadlines) {
  PacketPair pair;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(throws(errc::timed_out, "sent no packet", [&] { pair.right.receive(in(30ms)); }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
  EXPECT_TRUE(throws(errc::timed_out, "sent no packet", [&] { pair.right.receive(in(-1h)); }));

  const std::string block(kMaxPacketBytes, 'b');
  const auto fill = [&] {
    for (int i = 0; i < 100000; ++i) pair.left.send(bytes_of(block), {}, in(20ms));
  };
  EXPECT_TRUE(throws(errc::timed_out, "left no room", fill));
}

TEST_F(Seqpacket, SendsOnWhenThePeerMakesRoom) {
  PacketPair pair;
  constexpr int kPackets = 2000;
  const std::string block(kMaxPacketBytes, 'b');
  std::thread sender([&] {
    for (int i = 0; i < kPackets; ++i) pair.left.send(bytes_of(block), {}, soon());
  });
  for (int i = 0; i < kPackets; ++i) ASSERT_EQ(pair.right.receive(soon()).bytes.size(), kMaxPacketBytes);
  sender.join();
}

TEST_F(Seqpacket, KeepsItsDeadlineUnderAStormOfSignals) {
  struct sigaction handler {};
  struct sigaction handler_before {};
  handler.sa_handler = [](int) {};  // without SA_RESTART: every call is interrupted
  ASSERT_EQ(::sigaction(SIGUSR1, &handler, &handler_before), 0);
  PacketPair pair;
  const pid_t target = ::getpid();
  ChildProcess storm([target] {
    for (;;) {
      ::kill(target, SIGUSR1);
      ::usleep(500);
    }
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(throws(errc::timed_out, "sent no packet", [&] { pair.right.receive(in(200ms)); }));
  const auto taken = std::chrono::steady_clock::now() - start;
  EXPECT_GE(taken, 200ms);
  EXPECT_LT(taken, 5s);
  storm.signal(SIGKILL);
  ASSERT_TRUE(storm.wait_for(10s));
  ::sigaction(SIGUSR1, &handler_before, nullptr);
}

TEST_F(Seqpacket, ReportsAPeerProcessThatWasKilled) {
  PacketPair pair;
  ChildProcess child([&pair] {
    pair.left = PacketSocket(Descriptor());
    pair.right.send(bytes_of("alive"), {}, soon());
    pair.right.receive(soon());
  });
  pair.right = PacketSocket(Descriptor());
  EXPECT_EQ(text_of(pair.left.receive(soon())), "alive");
  child.signal(SIGKILL);
  EXPECT_TRUE(throws(connect_errc::peer_gone, "closed", [&] { pair.left.receive(soon()); }));
}

TEST_F(Seqpacket, PassesMemoryToAnotherProcess) {
  PacketPair pair;
  ChildProcess child([&pair] {
    const auto packet = pair.right.receive(soon());
    ASSERT_EQ(packet.descriptors.size(), 1U);
    EXPECT_EQ(::pwrite(packet.descriptors.front().get(), "from the child", 14, 0), 14);
  });
  const Descriptor memory(::memfd_create("seqpacket-test", MFD_CLOEXEC));
  const std::array<int, 1> descriptors{memory.get()};
  pair.left.send(bytes_of("memory"), descriptors, soon());
  const auto status = child.wait_for(10s);
  ASSERT_TRUE(status && status->ok());
  std::array<char, 14> text{};
  ASSERT_EQ(::pread(memory.get(), text.data(), text.size(), 0), 14);
  EXPECT_EQ(std::string(text.data(), text.size()), "from the child");
}

}  // namespace
}  // namespace sluice::test
