// What a call allocates, counted on one thread that runs both sides.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "allocations.hpp"
#include "driving_port.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"

namespace sluice {
namespace {

class CallAllocations : public ::testing::Test {
 protected:
  /// Of both sides together, by one call: the first ones may make memory that is kept.
  template <typename Call>
  std::size_t of(Call call) {
    for (int i = 0; i < 3; ++i) call();
    const std::size_t before = test::allocations().count;
    constexpr std::size_t kCalls = 100;
    for (std::size_t i = 0; i < kCalls; ++i) call();
    const std::size_t made = test::allocations().count - before;
    EXPECT_EQ(made % kCalls, 0U);
    return made / kCalls;
  }

  codec::Registry registry_;
  codec::Actor& actor_ = registry_.actor("actor");
  std::pair<Port, Port> ports_ = make_port_pair();
  codec::Peer server_{std::move(ports_.first), codec::PeerOptions{.registry = &registry_}};
  codec::Peer caller_{test::DrivingPort(std::move(ports_.second), [this] { (void)server_.run_once(); })};
};

TEST_F(CallAllocations, ACallOfAnEmptyMethodMakesNone) {
  actor_.method("empty", [] {});
  EXPECT_EQ(of([&] { caller_.call("actor", "empty"); }), 0U);
}

TEST_F(CallAllocations, ArgumentsAndAResultMakeNoneButTheirOwn) {
  actor_.method("sum", [](std::uint64_t a, std::string_view text) { return a + text.size(); });
  actor_.method("text", [](std::string_view text) { return std::string(text); });
  const std::string text(100, 'x');  // no std::string has it in place
  EXPECT_EQ(of([&] { EXPECT_EQ(caller_.call<std::uint64_t>("actor", "sum", 17, text), 117U); }), 0U);
  EXPECT_EQ(of([&] { EXPECT_EQ(caller_.call<std::string>("actor", "text", text), text); }),
            2U);  // one a side
}

TEST_F(CallAllocations, CallsWithinCallsAndOfOneMethodAfterAnotherMakeNone) {
  actor_.method("one", [] {});
  actor_.method("other", [] {});
  EXPECT_EQ(of([&] {
              caller_.call("actor", "one");
              caller_.call("actor", "other");
            }),
            0U);
}

TEST_F(CallAllocations, ACallInTheBackgroundMakesOneAtTheCaller) {
  actor_.method("empty", [] {});
  EXPECT_EQ(of([&] { caller_.call_async("actor", "empty").get(); }), 1U);
}

TEST_F(CallAllocations, AnAnswerThatMayComeLaterMakesTwoAtTheServer) {
  actor_.method("later", [](const codec::Reply<int>& reply) { reply(17); });
  EXPECT_EQ(of([&] { EXPECT_EQ(caller_.call<int>("actor", "later"), 17); }), 2U);
}

}  // namespace
}  // namespace sluice
