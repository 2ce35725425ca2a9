// A message port over sockets and pipes: the same tests over each of them, and what a peer's bytes can do.
#include "sluice/ipc/port/native_port.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "blocking_descriptor.hpp"
#include "open_descriptors.hpp"
#include "sluice/base/error.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::throws;

enum class Kind { packets, bytes, pipes };

std::pair<Descriptor, Descriptor> socket_pair(int type) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::system_error(errno, std::system_category(), "socketpair");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Reading end, writing end.
std::pair<Descriptor, Descriptor> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::pair<NativePort, NativePort> make_ports(Kind kind, const NativePortOptions& options = {}) {
  if (kind == Kind::pipes) {
    auto [read_a, write_b] = make_pipe();
    auto [read_b, write_a] = make_pipe();
    return {wrap_native_port(std::move(read_a), std::move(write_a), options),
            wrap_native_port(std::move(read_b), std::move(write_b), options)};
  }
  auto [a, b] = socket_pair(kind == Kind::packets ? SOCK_SEQPACKET : SOCK_STREAM);
  return {wrap_native_port(std::move(a), options), wrap_native_port(std::move(b), options)};
}

class NativePortOver : public ::testing::TestWithParam<Kind> {
 protected:
  const test::Watchdog watchdog_{60s, "a native port"};
};

std::string name_of(const ::testing::TestParamInfo<Kind>& kind) {
  static constexpr std::array kNames{"Packets", "Bytes", "Pipes"};
  return kNames.at(static_cast<std::size_t>(kind.param));
}

INSTANTIATE_TEST_SUITE_P(Kinds, NativePortOver, ::testing::Values(Kind::packets, Kind::bytes, Kind::pipes),
                         name_of);

TEST_P(NativePortOver, KeepsTheBordersOfMessages) {
  auto [a, b] = make_ports(GetParam());
  const std::string large(100'000, 'x');
  std::thread sender([&a = a, &large] {
    for (const std::string_view text :
         {std::string_view(), std::string_view("short"), std::string_view(large)})
      EXPECT_EQ(a.post_message(text), Status::ok);
  });
  EXPECT_EQ(b.receive().bytes().size(), 0U);
  EXPECT_EQ(b.receive().text(), "short");
  EXPECT_EQ(b.receive().text(), large);
  sender.join();
  EXPECT_EQ(b.try_receive().status(), Status::would_block);
  EXPECT_EQ(b.receive_until(deadline_in(1ms)).status(), Status::timed_out);
}

TEST_P(NativePortOver, CarriesMessagesBothWaysAndValues) {
  auto [a, b] = make_ports(GetParam());
  ASSERT_EQ(post(a, 42), Status::ok);
  EXPECT_EQ(b.receive().as<int>(), 42);
  const std::array<std::byte, 1> head{std::byte{'h'}};
  ASSERT_EQ(b.post_parts_until(head, std::as_bytes(std::span("ead", 3)), kNoDeadline), Status::ok);
  EXPECT_EQ(a.receive().text(), "head");
}

TEST_P(NativePortOver, GivesWhatCameBeforeTheCloseAndThenTheClose) {
  auto [a, b] = make_ports(GetParam());
  ASSERT_EQ(a.post_message("last words"), Status::ok);
  a.close();
  EXPECT_FALSE(a.is_open());
  EXPECT_EQ(a.post_message("too late"), Status::closed);
  EXPECT_EQ(a.receive().status(), Status::closed);
  EXPECT_EQ(b.receive().text(), "last words");
  EXPECT_EQ(b.receive().status(), Status::closed);
  EXPECT_EQ(b.post_message("to nobody"), Status::closed) << "and no SIGPIPE";
}

TEST_P(NativePortOver, DeliversToHandlersOnAThreadOfItsOwn) {
  auto [a, b] = make_ports(GetParam());
  std::vector<std::string> got;
  std::atomic<bool> ended = false;
  b.on_message([&](std::string_view text) { got.emplace_back(text); });
  b.on_close([&](Status reason) {
    got.emplace_back(to_string(reason));
    ended = true;
  });
  EXPECT_TRUE(b.can_receive());
  b.start();
  EXPECT_FALSE(b.can_receive());
  ASSERT_EQ(a.post_message("one"), Status::ok);
  ASSERT_EQ(a.post_message("two"), Status::ok);
  a.close();
  while (!ended) std::this_thread::yield();
  EXPECT_EQ(got, (std::vector<std::string>{"one", "two", "closed"}));
}

TEST_P(NativePortOver, RunsHandlersOnTheCallersThread) {
  auto [a, b] = make_ports(GetParam());
  std::vector<std::string> got;
  b.on_message([&, &port = b](std::string_view text) {
    got.emplace_back(text);
    if (text == "enough") port.close();
  });
  ASSERT_EQ(a.post_message("one"), Status::ok);
  ASSERT_EQ(a.post_message("enough"), Status::ok);
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_EQ(got, (std::vector<std::string>{"one", "enough"}));
  EXPECT_EQ(a.receive().status(), Status::closed);
}

TEST_P(NativePortOver, RefusesAMessageBeyondTheLimitWithBothSizes) {
  auto [a, b] = make_ports(GetParam(), {.max_message_bytes = 10});
  EXPECT_EQ(a.post_message("eleven byte"), Status::too_large);
  EXPECT_NE(a.failure_text().find("11 bytes: expected at most 10"), std::string::npos) << a.failure_text();
  EXPECT_EQ(a.post_message("ten  bytes"), Status::ok);
  EXPECT_EQ(b.receive().text(), "ten  bytes");
}

TEST_P(NativePortOver, GivesUpAtTheDeadlineWhileTheOtherSideDoesNotRead) {
  auto [a, b] = make_ports(GetParam());
  // A page with its length, so that it fits a pipe as a whole or not at all: a message that has begun waits.
  const std::string page(4092, 'x');
  const auto bytes = std::as_bytes(std::span(page));
  Status status = Status::ok;
  int posted = 0;
  while ((status = a.post_parts_until({}, bytes, deadline_in(1ms))) == Status::ok) ++posted;
  EXPECT_EQ(status, Status::timed_out);
  EXPECT_GT(posted, 0);
  for (int i = 0; i < posted; ++i) EXPECT_EQ(b.receive().text(), page);
  EXPECT_EQ(a.post_message("there is room again"), Status::ok);
}

TEST_P(NativePortOver, EndsAWaitInAnotherThread) {
  auto [a, b] = make_ports(GetParam());
  Status status = Status::ok;
  std::thread waiting([&, &port = a] { status = port.receive().status(); });
  std::this_thread::sleep_for(20ms);  // right in any case; this lets the other wait
  a.close();
  waiting.join();
  EXPECT_EQ(status, Status::closed);
}

TEST_P(NativePortOver, LeavesNoDescriptorBehind) {
  const std::size_t before = test::open_descriptors();
  {
    auto [a, b] = make_ports(GetParam());
    NativePort moved = std::move(a);
    ASSERT_EQ(moved.post_message("text"), Status::ok);
    b.on_message([](std::string_view) {});
    b.start();
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

/// A port, and the bytes that its peer writes.
class NativePortOfAPeer : public ::testing::Test {
 protected:
  NativePortOfAPeer() {
    auto [ours, theirs] = socket_pair(SOCK_STREAM);
    port_ = wrap_native_port(std::move(ours), {.max_message_bytes = 1000});
    peer_ = std::move(theirs);
  }
  void peer_writes(std::string_view bytes) {
    ASSERT_EQ(::write(peer_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  NativePort port_;
  Descriptor peer_;
  const test::Watchdog watchdog_{60s, "a native port"};
};

using namespace std::string_view_literals;

TEST_F(NativePortOfAPeer, PutsAMessageTogetherThatComesInPieces) {
  for (const std::string_view piece : {"\5"sv, "\0\0"sv, "\0he"sv, "ll"sv}) {
    peer_writes(piece);
    EXPECT_EQ(port_.try_receive().status(), Status::would_block);
  }
  peer_writes("o\2\0\0\0ok"sv);
  EXPECT_EQ(port_.try_receive().text(), "hello");
  EXPECT_EQ(port_.try_receive().text(), "ok");
}

TEST_F(NativePortOfAPeer, IsBrokenByALengthBeyondTheLimit) {
  peer_writes("\xe9\3\0\0"sv);
  EXPECT_EQ(port_.receive().status(), Status::broken);
  EXPECT_NE(port_.failure_text().find("1001"), std::string::npos) << port_.failure_text();
  EXPECT_NE(port_.failure_text().find("1000"), std::string::npos) << port_.failure_text();
  EXPECT_FALSE(port_.is_open());
}

TEST_F(NativePortOfAPeer, IsBrokenByAnEndInsideAMessage) {
  peer_writes("\5\0\0\0hel"sv);
  peer_.reset();
  EXPECT_EQ(port_.receive().status(), Status::broken);
  EXPECT_NE(port_.failure_text().find("ended inside a message of 5 bytes"), std::string::npos)
      << port_.failure_text();
}

TEST_F(NativePortOfAPeer, TellsTheHandlersOfABrokenPeer) {
  std::vector<std::string> got;
  port_.on_message([&](std::string_view text) { got.emplace_back(text); });
  port_.on_error([&](const PortError& error) { got.push_back(error.text); });
  peer_writes("\2\0\0\0ok\5\0"sv);
  peer_.reset();
  EXPECT_EQ(port_.run(), Status::broken);
  EXPECT_EQ(got, (std::vector<std::string>{
                     "ok", "the peer ended inside a length of 4 bytes: 2 bytes came, the length included"}));
}

/// A peer that sends a descriptor whose close blocks, with whatever a message begins with.
class BlockingCloseOfAPeer : public ::testing::TestWithParam<int> {
 protected:
  BlockingCloseOfAPeer() {
    auto [ours, theirs] = socket_pair(GetParam());
    port_ = wrap_native_port(std::move(ours));
    peer_ = std::move(theirs);
  }
  void SetUp() override {
    if (blocking_.get() < 0) GTEST_SKIP() << "needs TCP on the loopback device";
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
    std::array<char, 5> bytes{1, 0, 0, 0, 'x'};
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = blocking_.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ASSERT_EQ(::sendmsg(peer_.get(), &message, 0), static_cast<ssize_t>(bytes.size()));
    blocking_.let_go();
  }
  void TearDown() override {
    // Far less than the minute that the close takes, and more than a loaded machine needs.
    EXPECT_LT(std::chrono::steady_clock::now() - start_, 30s);
  }

  const test::Watchdog watchdog_{50s, "a close that blocks"};
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  test::BlockingDescriptor blocking_;
  NativePort port_;
  Descriptor peer_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, BlockingCloseOfAPeer, ::testing::Values(SOCK_SEQPACKET, SOCK_STREAM),
                         [](const auto& type) {
                           return std::string(type.param == SOCK_SEQPACKET ? "PacketSocket" : "StreamSocket");
                         });

TEST_P(BlockingCloseOfAPeer, HoldsUpNoRead) {
  EXPECT_EQ(port_.receive().status(), Status::broken);
  EXPECT_EQ(port_.failure_text(), "the peer sent 1 descriptors, expected none");
  EXPECT_FALSE(port_.is_open());
}

TEST_P(BlockingCloseOfAPeer, HoldsUpNoCloseOfAPortThatDoesNotRead) {
  port_.close();
}

TEST(NativePort, RefusesWhatCarriesNoMessages) {
  auto [read, write] = make_pipe();
  EXPECT_TRUE(
      throws(errc::bad_option, "is no socket", [&pipe = read] { wrap_native_port(std::move(pipe)); }));
  Descriptor datagrams(::socket(AF_UNIX, SOCK_DGRAM, 0));
  EXPECT_TRUE(throws(errc::bad_option, "SOCK_SEQPACKET or SOCK_STREAM",
                     [&] { wrap_native_port(std::move(datagrams)); }));
  auto [a, b] = socket_pair(SOCK_STREAM);
  EXPECT_TRUE(throws(errc::bad_option, "max_message_bytes",
                     [&socket = a] { wrap_native_port(std::move(socket), {.max_message_bytes = 0}); }));
}

}  // namespace
}  // namespace sluice
