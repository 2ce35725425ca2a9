// A piece of work that an executor runs, runs late, or throws away.
#include "turn.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "watchdog.hpp"

namespace sluice::ipc {
namespace {

using namespace std::chrono_literals;

class TurnTest : public ::testing::Test {
 protected:
  std::atomic<int> ran_ = 0;
  const std::function<void()> work_ = [this] { ++ran_; };
  std::shared_ptr<Turn> turn_ = std::make_shared<Turn>(work_);
  const test::Watchdog watchdog_{60s, "a turn"};
};

TEST_F(TurnTest, RunsItsWorkOnceHoweverOftenThePieceIsRun) {
  const auto piece = turn_->piece();
  piece();
  piece();
  EXPECT_EQ(ran_, 1);
  EXPECT_TRUE(turn_->wait());
}

TEST_F(TurnTest, KeepsWhoWaitsUntilTheWorkIsOver) {
  std::promise<void> let_go;
  const std::function<void()> slow = [&] { let_go.get_future().wait(); };
  const auto turn = std::make_shared<Turn>(slow);
  std::thread executor(turn->piece());
  auto waiting = std::async(std::launch::async, [&] { return turn->wait(); });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  let_go.set_value();
  EXPECT_TRUE(waiting.get());
  executor.join();
}

TEST_F(TurnTest, IsCalledOffWhenTheLastCopyOfThePieceIsThrownAway) {
  {
    auto piece = turn_->piece();
    auto copy = piece;
    piece = nullptr;
    auto waiting = std::async(std::launch::async, [&] { return turn_->wait(); });
    EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout) << "a copy is left";
    copy = nullptr;
    EXPECT_FALSE(waiting.get());
  }
  EXPECT_EQ(ran_, 0);
}

TEST_F(TurnTest, DoesNothingOnceItWasCalledOff) {
  const auto piece = turn_->piece();
  EXPECT_FALSE(turn_->call_off());
  EXPECT_FALSE(turn_->wait());
  piece();
  EXPECT_EQ(ran_, 0);
}

TEST_F(TurnTest, TellsAThreadThatCallsItOffFromInside) {
  bool inside = false;
  std::shared_ptr<Turn> turn;
  const std::function<void()> work = [&] { inside = turn->call_off(); };
  turn = std::make_shared<Turn>(work);
  turn->piece()();
  EXPECT_TRUE(inside);
  EXPECT_TRUE(turn->wait()) << "it had begun";
  EXPECT_FALSE(turn->call_off()) << "it is over";
}

TEST_F(TurnTest, IsNotInsideOnAnotherThread) {
  std::promise<void> began;
  std::promise<void> let_go;
  const std::function<void()> slow = [&] {
    began.set_value();
    let_go.get_future().wait();
  };
  const auto turn = std::make_shared<Turn>(slow);
  std::thread executor(turn->piece());
  began.get_future().wait();
  EXPECT_FALSE(turn->call_off());
  let_go.set_value();
  executor.join();
  EXPECT_TRUE(turn->wait());
}

TEST_F(TurnTest, IsOverAlsoWhenItsWorkThrows) {
  const std::function<void()> bad = [] { throw std::runtime_error("bad work"); };
  const auto turn = std::make_shared<Turn>(bad);
  EXPECT_THROW(turn->piece()(), std::runtime_error);
  EXPECT_TRUE(turn->wait());
}

}  // namespace
}  // namespace sluice::ipc
