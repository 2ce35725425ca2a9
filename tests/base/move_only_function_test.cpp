#include "sluice/base/detail/move_only_function.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice::base {
namespace {

using Function = MoveOnlyFunction<int(int)>;

static_assert(std::is_nothrow_move_constructible_v<Function> && std::is_nothrow_move_assignable_v<Function>);
static_assert(!std::is_copy_constructible_v<Function>);
static_assert(!std::is_constructible_v<Function, void (*)(std::string)>);

/// Counts its instances.
struct Counted {
  explicit Counted(int* alive) : count(alive) { ++*count; }
  Counted(Counted&& other) noexcept : count(other.count) { ++*count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*count; }
  int* count;
};

TEST(MoveOnlyFunction, CallsSmallAndLargeCallables) {
  Function small = [add = std::make_unique<int>(1)](int number) { return number + *add; };
  std::array<int, 100> numbers{};
  numbers.back() = 2;
  Function large = [numbers](int number) { return number + numbers.back(); };
  EXPECT_EQ(small(40), 41);
  EXPECT_EQ(large(40), 42);
  std::swap(small, large);
  EXPECT_EQ(small(40), 42);
  EXPECT_EQ(large(40), 41);
}

TEST(MoveOnlyFunction, KeepsTheStateOfItsCallable) {
  Function counting = [count = 0](int step) mutable { return count += step; };
  EXPECT_EQ(counting(2), 2);
  EXPECT_EQ(counting(3), 5);
  Function moved = std::move(counting);
  EXPECT_EQ(moved(1), 6);
}

TEST(MoveOnlyFunction, DestroysWhatItHoldsExactlyOnce) {
  int alive = 0;
  {
    const std::array<char, 100> ballast{};
    Function small = [counted = Counted(&alive)](int) { return *counted.count; };
    Function large = [counted = Counted(&alive), ballast](int) { return *counted.count + ballast[0]; };
    EXPECT_EQ(alive, 2);
    Function other = std::move(small);
    EXPECT_EQ(alive, 2);
    other = std::move(large);
    EXPECT_EQ(alive, 1);
    other = nullptr;
    EXPECT_EQ(alive, 0);
  }
  EXPECT_EQ(alive, 0);
}

TEST(MoveOnlyFunction, IsEmptyWithoutACallable) {
  int (*const no_function)(int) = nullptr;
  Function moved_from = [](int number) { return number; };
  EXPECT_TRUE(moved_from);
  const Function moved = std::move(moved_from);
  EXPECT_FALSE(moved_from);  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(Function());
  EXPECT_FALSE(Function(nullptr));
  EXPECT_FALSE(Function(no_function));
  EXPECT_FALSE(Function(std::function<int(int)>()));
  EXPECT_TRUE(Function(std::function<int(int)>([](int number) { return number; })));
  EXPECT_THROW(Function()(1), std::bad_function_call);
}

TEST(MoveOnlyFunction, PassesReferencesAndValuesThatCannotBeCopied) {
  MoveOnlyFunction<void(std::string&)> appends = [](std::string& text) { text += "!"; };
  std::string text = "here";
  appends(text);
  EXPECT_EQ(text, "here!");
  MoveOnlyFunction<std::unique_ptr<int>(std::unique_ptr<int>)> hands_on = [](std::unique_ptr<int> number) {
    return number;
  };
  EXPECT_EQ(*hands_on(std::make_unique<int>(5)), 5);
}

}  // namespace
}  // namespace sluice::base
