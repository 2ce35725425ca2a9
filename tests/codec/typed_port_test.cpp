// Values over ports: what is posted on one side is received on the other, or the receiver learns why not.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "records.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Order;

class TypedPort : public ::testing::Test {
 protected:
  const test::Watchdog watchdog_{60s, "values over ports"};
};

/// Packs into five bytes, the first time; throws or grows later.
struct Unsteady {
  int* packings;
  bool throws = false;

  template <typename Packer>
  void msgpack_pack(Packer& packer) const {
    ++*packings;
    if (throws) throw std::runtime_error("can't be packed");
    packer.pack(std::string(static_cast<std::size_t>(*packings) * 4000, 'x'));
  }
};

TEST_F(TypedPort, CarriesValuesOfEveryKind) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(codec::post(a, test::some_of_everything()), Status::ok);
  ASSERT_EQ(codec::post(a, 17), Status::ok);
  ASSERT_EQ(codec::post(a, "text"), Status::ok);
  ASSERT_EQ(codec::post(a, std::vector<std::string>{"a", "b"}), Status::ok);
  EXPECT_EQ(*codec::receive<test::Everything>(b), test::some_of_everything());
  EXPECT_EQ(*codec::receive<long>(b), 17);
  EXPECT_EQ(*codec::receive<std::string>(b), "text");
  EXPECT_EQ(*codec::receive<std::vector<std::string>>(b), (std::vector<std::string>{"a", "b"}));
}

TEST_F(TypedPort, ReceivesInTheTimedFormsOfThePort) {
  auto [a, b] = make_port_pair();
  EXPECT_EQ(codec::try_receive<int>(b).status(), Status::would_block);
  EXPECT_EQ(codec::receive_for<int>(b, 1ms).status(), Status::timed_out);
  codec::Decoder decoder;
  EXPECT_EQ(codec::try_receive<int>(b, decoder).status(), Status::would_block);
  EXPECT_EQ(codec::receive_for<int>(b, 1ms, decoder).status(), Status::timed_out);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(codec::post_for(a, i, 1s), Status::ok);
  EXPECT_EQ(*codec::try_receive<int>(b), 0);
  EXPECT_EQ(*codec::receive_until<int>(b, deadline_in(1s)), 1);
  EXPECT_EQ(*codec::try_receive<int>(b, decoder), 2);
  EXPECT_EQ(*codec::receive<int>(b, decoder), 3);
  a.close();
  const auto last = codec::receive<int>(b);
  EXPECT_FALSE(last);
  EXPECT_EQ(last.status(), Status::closed);
  EXPECT_TRUE(last.failure_text().empty());
}

TEST_F(TypedPort, KeepsTheRoomOfAMessageForAsLongAsItsValueLives) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(codec::post(a, Order{"Ada", 1}), Status::ok);
  {
    const auto order = codec::receive<Order>(b);
    ASSERT_TRUE(order);
    EXPECT_EQ(order.sequence(), 1U);
    EXPECT_EQ(a.wait_until_consumed(deadline_in(10ms)), Status::timed_out);
  }
  EXPECT_EQ(a.wait_until_consumed(deadline_in(1s)), Status::ok);
}

TEST_F(TypedPort, GoesOnBehindAMessageThatIsNoSuchValue) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(a.post_message("\xc1"), Status::ok);
  ASSERT_EQ(codec::post(a, "no order"), Status::ok);
  ASSERT_EQ(codec::post(a, Order{"Ada", 1}), Status::ok);
  {
    const auto bytes = codec::receive<Order>(b);
    EXPECT_EQ(bytes.status(), Status::malformed);
    EXPECT_EQ(bytes.failure(), codec::errc::undefined_byte);
    EXPECT_EQ(bytes.failure_text(), "message of 1 bytes, at byte 0: expected a whole value: undefined byte");
  }
  {
    const auto text = codec::receive<Order>(b);
    EXPECT_EQ(text.status(), Status::malformed);
    EXPECT_EQ(text.failure(), codec::errc::wrong_type);
    EXPECT_EQ(
        text.failure_text(),
        "message of 9 bytes: expected sluice::test::Order, got string of 8 bytes: not the type asked for");
  }
  EXPECT_EQ(codec::receive<Order>(b)->customer, "Ada");
}

TEST_F(TypedPort, ReadsInPlaceWhatLiesInTheRing) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(codec::post(a, Order{"Ada", 1}), Status::ok);
  ASSERT_EQ(codec::post(a, Order{"Grace", 2}), Status::ok);
  codec::Decoder in_place({.in_place = true});
  const auto lies_in = [](std::string_view text, std::span<const std::byte> bytes) {
    const auto* const begin = reinterpret_cast<const char*>(bytes.data());
    return text.data() >= begin && text.data() + text.size() <= begin + bytes.size();
  };
  {
    const auto order = codec::receive<test::OrderView>(b, in_place);
    EXPECT_EQ(order->customer, "Ada");
    EXPECT_TRUE(lies_in(order->customer, order.message().bytes()));
  }
  const auto order = codec::receive<test::OrderView>(b);
  EXPECT_EQ(order->customer, "Grace");
  EXPECT_FALSE(lies_in(order->customer, order.message().bytes())) << "the default is a private copy";
}

TEST_F(TypedPort, GivesHandlersTheValue) {
  auto [a, b] = make_port_pair();
  std::vector<std::string> customers;
  std::string failure;
  b.on_message(codec::handler<Order>([&](const Order& order) { customers.push_back(order.customer); }));
  b.on_error([&](const PortError& error) { failure = error.text; });
  ASSERT_EQ(codec::post(a, Order{"Ada", 1}), Status::ok);
  ASSERT_EQ(codec::post(a, 7), Status::ok);
  ASSERT_EQ(codec::post(a, Order{"Grace", 1}), Status::ok);
  a.close();
  EXPECT_EQ(b.run(), Status::closed);
  EXPECT_EQ(customers, (std::vector<std::string>{"Ada", "Grace"}));
  EXPECT_NE(failure.find("expected sluice::test::Order, got integer"), std::string::npos) << failure;
}

TEST_F(TypedPort, PostsWhatIsLargerThanWhatCameBefore) {
  auto [a, b] = make_port_pair({.ring_bytes = 1 << 20});
  for (const std::size_t bytes : {0U, 1U, 255U, 256U, 257U, 100'000U, 3U, 500'000U, 10U}) {
    const std::string text(bytes, 'x');
    ASSERT_EQ(codec::post(a, text), Status::ok);
    EXPECT_EQ(*codec::receive<std::string>(b), text);
  }
}

TEST_F(TypedPort, RefusesWhatIsLargerThanTheRing) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  EXPECT_EQ(codec::post(a, std::string(4096, 'x')), Status::too_large);
  EXPECT_EQ(codec::try_post(a, std::string(4096, 'x')), Status::too_large);
  ASSERT_EQ(codec::post(a, 1), Status::ok);
  EXPECT_EQ(*codec::receive<int>(b), 1);
}

TEST_F(TypedPort, FillsTheRingToTheLastMessageThatFits) {
  // The room that is claimed for a guess is larger than these messages.
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  auto [c, d] = make_port_pair({.ring_bytes = 4096});
  const std::string text = "small";
  int typed = 0;
  while (codec::try_post(a, text) == Status::ok) ++typed;
  int plain = 0;
  while (c.try_post_message("?small") == Status::ok) ++plain;
  EXPECT_EQ(typed, plain);
  EXPECT_EQ(codec::post_for(a, text, 1ms), Status::timed_out);
  for (int i = 0; i < typed; ++i) EXPECT_EQ(*codec::receive<std::string>(b), text);
}

TEST_F(TypedPort, WaitsForRoom) {
  auto [a, b] = make_port_pair({.ring_bytes = 4096});
  constexpr int kMessages = 20'000;
  std::thread sender([&a = a] {
    for (int i = 0; i < kMessages; ++i)
      ASSERT_EQ(codec::post(a, std::pair(i, std::string("text"))), Status::ok);
  });
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ((codec::receive<std::pair<int, std::string>>(b)->first), i);
  sender.join();
}

TEST_F(TypedPort, MakesABatchVisibleAtOnce) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(codec::append(a, 1), Status::ok);
  ASSERT_EQ(codec::append(a, 2), Status::ok);
  EXPECT_EQ(codec::try_receive<int>(b).status(), Status::would_block);
  a.publish();
  EXPECT_EQ(*codec::try_receive<int>(b), 1);
  EXPECT_EQ(*codec::try_receive<int>(b), 2);
}

TEST_F(TypedPort, PostsNothingOfAValueThatCantBePacked) {
  auto [a, b] = make_port_pair({.ring_bytes = 1 << 20});
  int packings = 0;
  EXPECT_THROW((void)codec::post(a, Unsteady{&packings, true}), std::runtime_error);
  EXPECT_EQ(codec::post(a, Unsteady{&packings}), Status::misuse) << "it takes more bytes each time";
  EXPECT_EQ(codec::try_receive<std::string>(b).status(), Status::would_block);
  ASSERT_EQ(codec::post(a, 1), Status::ok);
  EXPECT_EQ(*codec::receive<int>(b), 1);
}

/// Posts another of its kind while it is packed.
struct Posting {
  NativePort* port;
  bool inner = false;

  template <typename Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(2);
    packer.pack(std::string(inner ? 5000 : 300, inner ? 'i' : 'o'));
    if (!inner) {
      EXPECT_EQ(codec::post(*port, Posting{port, true}), Status::ok);
    }
    packer.pack(inner);
  }
};

TEST_F(TypedPort, PostsAValueThatPostsAnotherWhileItIsPacked) {
  std::array<int, 2> sockets{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
  NativePort a = wrap_native_port(Descriptor(sockets[0]));
  NativePort b = wrap_native_port(Descriptor(sockets[1]));
  ASSERT_EQ(codec::post(a, Posting{&a}), Status::ok);
  using Value = std::pair<std::string, bool>;
  EXPECT_EQ(*codec::receive<Value>(b), Value(std::string(5000, 'i'), true));
  EXPECT_EQ(*codec::receive<Value>(b), Value(std::string(300, 'o'), false));
}

TEST_F(TypedPort, LeavesNothingBehindWhenAReceivedValueIsMoved) {
  auto [a, b] = make_port_pair();
  ASSERT_EQ(codec::post(a, Order{"Ada", 1}), Status::ok);
  auto order = codec::receive<Order>(b);
  const auto moved = std::move(order);
  EXPECT_EQ(order.status(), Status::closed);  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_EQ(moved->customer, "Ada");
}

TEST_F(TypedPort, SaysWhyAnEndedPortTakesNothing) {
  auto [a, b] = make_port_pair();
  b.close();
  ASSERT_EQ(a.wait_closed(), Status::closed);
  EXPECT_EQ(codec::post(a, 1), Status::closed);
  EXPECT_EQ(codec::try_post(a, 1), Status::closed);
  EXPECT_EQ(codec::append(a, 1), Status::closed);
}

TEST_F(TypedPort, GoesOverAnyPortAndOverDescriptors) {
  auto [a, b] = make_port_pair();
  AnyPort any_a(std::move(a));
  AnyPort any_b(std::move(b));
  ASSERT_EQ(codec::post(any_a, Order{"Ada", 1}), Status::ok);
  ASSERT_EQ(codec::post_for(any_a, std::string(1000, 'x'), 1s), Status::ok);
  EXPECT_EQ(codec::receive<Order>(any_b)->customer, "Ada");
  EXPECT_EQ(codec::receive<std::string>(any_b)->size(), 1000U);

  std::array<int, 2> sockets{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
  NativePort c = wrap_native_port(Descriptor(sockets[0]));
  NativePort d = wrap_native_port(Descriptor(sockets[1]));
  ASSERT_EQ(codec::post(c, test::some_of_everything()), Status::ok);
  EXPECT_EQ(*codec::receive<test::Everything>(d), test::some_of_everything());
}

}  // namespace
}  // namespace sluice
