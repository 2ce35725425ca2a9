// Values between two processes, one of them killed.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "records.hpp"
#include "sluice/codec.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class TypedProcesses : public ::testing::Test {
 protected:
  const Watchdog watchdog_{60s, "values between processes"};
  TestChannel channel_;
};

TEST_F(TypedProcesses, ExchangeValuesBothWays) {
  constexpr std::uint64_t kOrders = 10'000;
  const ChildProcess child = listening_child(channel_, [](Port& port) {
    while (auto order = codec::receive<Order>(port)) {
      if (codec::post(port, std::pair(order->customer, order->cents * 2)) != Status::ok) return;
    }
  });
  Port port = connect(channel_.path());
  for (std::uint64_t i = 0; i < kOrders; ++i) {
    ASSERT_EQ(codec::post(port, Order{"customer " + std::to_string(i), i}), Status::ok);
    const auto answer = codec::receive<std::pair<std::string, std::uint64_t>>(port);
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->first, "customer " + std::to_string(i));
    ASSERT_EQ(answer->second, i * 2);
  }
}

TEST_F(TypedProcesses, AKilledSenderLeavesWholeValuesOnly) {
  const ChildProcess child = listening_child(channel_, [](Port& port) {
    for (std::uint64_t i = 0;; ++i) {
      if (codec::post(port, Order{std::string(i % 700, 'x'), i}) != Status::ok) return;
    }
  });
  Port port = connect(channel_.path());
  std::uint64_t expected = 0;
  for (;;) {
    const auto order = codec::receive<Order>(port);
    if (!order) {
      EXPECT_EQ(order.status(), Status::peer_died);
      break;
    }
    ASSERT_EQ(order->cents, expected);
    ASSERT_EQ(order->customer.size(), expected % 700);
    if (++expected == 5000) child.signal(SIGKILL);
  }
  EXPECT_GE(expected, 5000U);
}

}  // namespace
}  // namespace sluice::test
