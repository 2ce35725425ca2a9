// Two values are equal if they say the same, and finding out takes no more time than reading them.
#include "sluice/codec/detail/values_equal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "json_values.hpp"
#include "records.hpp"
#include "sluice/codec/decode_options.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::PackedValue;
using codec::SharedValue;
using test::json;
using test::raw;

SharedValue bytes(std::vector<std::byte> packed) {
  return std::make_shared<const PackedValue>(std::move(packed));
}

bool equal(const SharedValue& a, const SharedValue& b) {
  const bool result = codec::detail::values_equal(a->root(), b->root());
  EXPECT_EQ(codec::detail::values_equal(b->root(), a->root()), result);
  return result;
}

TEST(ValuesEqual, NumbersAreWhatTheyAreWhateverTheirWidth) {
  const std::vector<SharedValue> fives{bytes(raw(5)),
                                       bytes(raw(0xcc, 5)),
                                       bytes(raw(0xd0, 5)),
                                       bytes(raw(0xd1, 0, 5)),
                                       bytes(raw(0xcf, 0, 0, 0, 0, 0, 0, 0, 5)),
                                       PackedValue::of(5.0),
                                       PackedValue::of(5.0F)};
  const std::vector<SharedValue> minus_fives{bytes(raw(0xfb)), bytes(raw(0xd1, 0xff, 0xfb)),
                                             PackedValue::of(-5.0), PackedValue::of(-5.0F)};
  for (const auto& five : fives) {
    for (const auto& other : fives) EXPECT_TRUE(equal(five, other));
    for (const auto& other : minus_fives) EXPECT_FALSE(equal(five, other));
  }
  for (const auto& minus_five : minus_fives)
    for (const auto& other : minus_fives) EXPECT_TRUE(equal(minus_five, other));
}

TEST(ValuesEqual, NumbersAreComparedExactly) {
  constexpr std::uint64_t kBig = std::uint64_t{1} << 53U;
  EXPECT_TRUE(equal(PackedValue::of(kBig), PackedValue::of(0x1p53)));
  EXPECT_FALSE(equal(PackedValue::of(kBig + 1), PackedValue::of(0x1p53)));
  EXPECT_FALSE(equal(PackedValue::of(UINT64_MAX), PackedValue::of(0x1p64)));
  EXPECT_FALSE(equal(PackedValue::of(INT64_MAX), PackedValue::of(0x1p63)));
  EXPECT_TRUE(equal(PackedValue::of(INT64_MIN), PackedValue::of(-0x1p63)));
  EXPECT_FALSE(equal(PackedValue::of(INT64_MIN), PackedValue::of(-0x1.0000000000001p63)));
  EXPECT_FALSE(equal(PackedValue::of(5), PackedValue::of(5.5)));
  EXPECT_FALSE(equal(PackedValue::of(-5), PackedValue::of(-5.5)));
  EXPECT_FALSE(equal(PackedValue::of(0.1), PackedValue::of(0.1F)));
  EXPECT_TRUE(equal(PackedValue::of(0.0), PackedValue::of(-0.0)));
  EXPECT_TRUE(equal(PackedValue::of(0), PackedValue::of(-0.0)));
  const auto nan = PackedValue::of(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(equal(nan, PackedValue::of(-std::numeric_limits<float>::quiet_NaN())));
  EXPECT_FALSE(equal(nan, PackedValue::of(0)));
  EXPECT_FALSE(equal(nan, PackedValue::of(std::numeric_limits<double>::infinity())));
}

TEST(ValuesEqual, KindsThatLookAlikeDiffer) {
  const std::vector<SharedValue> different{
      json("null"),  json("false"), json("0"),      json("true"),           json("1"),
      json(R"("")"), json("[]"),    json("{}"),     bytes(raw(0xc4, 0)),    bytes(raw(0xc7, 0, 7)),
      json("[0]"),   json("[[]]"),  json("[null]"), bytes(raw(0xd4, 7, 0)), bytes(raw(0xd4, 8, 0))};
  for (std::size_t i = 0; i < different.size(); ++i)
    for (std::size_t j = 0; j < different.size(); ++j) EXPECT_EQ(equal(different[i], different[j]), i == j);
}

TEST(ValuesEqual, TimestampsAreTheTimeThatTheySay) {
  const auto short_form = bytes(raw(0xd6, 0xff, 0, 0, 0, 9));
  const auto middle_form = bytes(raw(0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 9));
  const auto long_form = bytes(raw(0xc7, 12, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9));
  EXPECT_TRUE(equal(short_form, middle_form));
  EXPECT_TRUE(equal(short_form, long_form));
  EXPECT_FALSE(equal(short_form, bytes(raw(0xd6, 0xff, 0, 0, 0, 8))));
  EXPECT_FALSE(equal(short_form, bytes(raw(0xd6, 0xfe, 0, 0, 0, 9))));
}

TEST(ValuesEqual, TheOrderOfKeysDoesntMatterAndTheirValuesDo) {
  const auto ab = bytes(raw(0x82, 0xa1, 'a', 1, 0xa1, 'b', 2));
  EXPECT_TRUE(equal(ab, bytes(raw(0x82, 0xa1, 'b', 2, 0xa1, 'a', 1))));
  EXPECT_FALSE(equal(ab, bytes(raw(0x82, 0xa1, 'b', 1, 0xa1, 'a', 2))));
  EXPECT_FALSE(equal(ab, bytes(raw(0x82, 0xa1, 'b', 2, 0xa1, 'c', 1))));
  EXPECT_FALSE(equal(ab, bytes(raw(0x81, 0xa1, 'a', 1))));
  EXPECT_FALSE(equal(bytes(raw(0x92, 1, 2)), bytes(raw(0x92, 2, 1))));
  // keys of any kind: 1, 1.0 (as a float), nil, true
  EXPECT_TRUE(equal(bytes(raw(0x83, 1, 1, 0xc0, 2, 0xc3, 3)),
                    bytes(raw(0x83, 0xc3, 3, 0xca, 0x3f, 0x80, 0, 0, 1, 0xc0, 2))));
}

TEST(ValuesEqual, AKeyThatComesTwiceHasItsValuesInOrder) {
  const auto one_two = bytes(raw(0x83, 1, 1, 1, 2, 3, 3));
  EXPECT_TRUE(equal(one_two, bytes(raw(0x83, 3, 3, 1, 1, 1, 2))));
  EXPECT_TRUE(equal(one_two, bytes(raw(0x83, 1, 1, 3, 3, 1, 2))));
  EXPECT_FALSE(equal(one_two, bytes(raw(0x83, 3, 3, 1, 2, 1, 1))));
  EXPECT_FALSE(equal(one_two, bytes(raw(0x83, 1, 1, 3, 3, 3, 3))));
}

TEST(ValuesEqual, MapsWithContainersForKeysAreEqualInOneOrderOnly) {
  const auto map = bytes(raw(0x82, 0x91, 1, 1, 0x91, 2, 2));
  EXPECT_TRUE(equal(map, map));
  EXPECT_FALSE(equal(map, bytes(raw(0x82, 0x91, 1, 1, 0x91, 3, 2))));
  EXPECT_FALSE(equal(bytes(raw(0x82, 5, 5, 0x91, 1, 1)), bytes(raw(0x82, 0x91, 1, 1, 5, 5))));
}

/// A map of these keys, each with itself for a value.
SharedValue map_of(const std::vector<int>& keys) {
  codec::detail::GrowingWriter writer;
  msgpack::packer<codec::detail::GrowingWriter> packer(writer);
  packer.pack_map(static_cast<std::uint32_t>(keys.size()));
  for (const int key : keys) {
    packer.pack("key " + std::to_string(key));
    packer.pack(key);
  }
  return bytes(std::move(writer).take());
}

TEST(ValuesEqual, LargeMapsInAnyOrderTakeLittleMoreTimeThanSorting) {
  const test::Watchdog watchdog(60s, "comparing large maps");
  std::vector<int> keys(200'000);
  std::iota(keys.begin(), keys.end(), 0);
  const auto ascending = map_of(keys);
  std::ranges::reverse(keys);
  EXPECT_TRUE(equal(ascending, map_of(keys)));
  std::ranges::shuffle(keys, std::mt19937_64(1));
  EXPECT_TRUE(equal(ascending, map_of(keys)));
  keys.front() = -1;
  EXPECT_FALSE(equal(ascending, map_of(keys)));

  std::vector<int> same(200'000, 7);
  EXPECT_TRUE(equal(map_of(same), map_of(same)));
  auto other = same;
  same.front() = 8;
  other.back() = 8;
  EXPECT_TRUE(equal(map_of(same), map_of(other)));
}

/// Maps within each other, each with a key more, before or behind the inner one.
SharedValue nested_maps(std::size_t levels, bool inner_first) {
  std::vector<std::byte> value = raw(0);
  for (std::size_t i = 0; i < levels; ++i) {
    std::vector<std::byte> outer = raw(0x83, 1, 1);
    for (const int key : inner_first ? std::vector{2, 3} : std::vector{3, 2}) {
      outer.push_back(static_cast<std::byte>(key));
      if (key == 2) outer.insert(outer.end(), value.begin(), value.end());
      if (key == 3) outer.push_back(std::byte{3});
    }
    value = std::move(outer);
  }
  return bytes(std::move(value));
}

TEST(ValuesEqual, NothingIsComparedTwiceThoughMapsInMapsAreInOtherOrders) {
  const test::Watchdog watchdog(60s, "comparing nested maps");
  constexpr std::size_t kLevels = codec::kDeepestLevel;
  EXPECT_TRUE(equal(nested_maps(kLevels, true), nested_maps(kLevels, false)));
  EXPECT_FALSE(equal(nested_maps(kLevels, true), nested_maps(kLevels - 1, false)));
}

TEST(ValuesEqual, KeysWithinKeysAreComparedOnce) {
  const test::Watchdog watchdog(60s, "comparing nested keys");
  const auto nested = [](int last) {  // {{{0: 0, 9: 1}: 0, 9: 1}: 0, 9: 1}, or with 9 first
    std::vector<std::byte> value = raw(last);
    for (unsigned i = 0; i < codec::kDeepestLevel; ++i) {
      std::vector<std::byte> outer = raw(0x82);
      outer.insert(outer.end(), value.begin(), value.end());
      for (const int more : {0, 9, 1}) outer.push_back(static_cast<std::byte>(more));
      value = std::move(outer);
    }
    return bytes(std::move(value));
  };
  EXPECT_TRUE(equal(nested(0), nested(0)));
  EXPECT_FALSE(equal(nested(0), nested(1)));
}

TEST(ValuesEqual, WhatIsNestedTooDeepDiffers) {
  std::vector<msgpack::object> levels(codec::kDeepestLevel + 2);
  levels[0] = msgpack::object(1);
  for (std::size_t i = 1; i < levels.size(); ++i) {
    levels[i].type = msgpack::type::ARRAY;
    levels[i].via.array = {1, &levels[i - 1]};
  }
  EXPECT_TRUE(codec::detail::values_equal(levels[codec::kDeepestLevel], levels[codec::kDeepestLevel]));
  EXPECT_FALSE(codec::detail::values_equal(levels.back(), levels.back()));
}

TEST(ValuesEqual, AllocatesOnlyForMoreThan16PairsInDifferentOrders) {
  const auto counted = [](const SharedValue& a, const SharedValue& b) {
    const bool parsed = equal(a, b);
    const std::size_t before = test::allocations().count;
    EXPECT_EQ(codec::detail::values_equal(a->root(), b->root()), parsed);
    return test::allocations().count - before;
  };
  std::vector<int> keys(16);
  std::iota(keys.begin(), keys.end(), 0);
  const auto few = map_of(keys);
  std::ranges::reverse(keys);
  EXPECT_EQ(counted(few, map_of(keys)), 0U);
  keys.resize(1000);
  std::iota(keys.begin(), keys.end(), 0);
  const auto many = map_of(keys);
  EXPECT_EQ(counted(many, map_of(keys)), 0U);
  std::ranges::reverse(keys);
  EXPECT_EQ(counted(many, map_of(keys)), 1U);
}

TEST(OrderOfScalars, IsAnOrder) {
  std::vector<SharedValue> values{json("null"),
                                  json("false"),
                                  json("true"),
                                  json(R"("a")"),
                                  json(R"("bb")"),
                                  bytes(raw(0xc4, 1, 'a')),
                                  bytes(raw(0xd4, 1, 2)),
                                  bytes(raw(0xd4, 2, 1)),
                                  bytes(raw(0xd6, 0xff, 0, 0, 0, 9)),
                                  bytes(raw(0xd6, 1, 0, 0, 0, 9)),
                                  json("[]"),
                                  json("{}")};
  for (const double number :
       {-0x1p64, -0x1p63, -5.5, -5.0, -0.0, 0.5, 5.0, 0x1p53, 0x1p63, 0x1p64,
        std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    values.push_back(PackedValue::of(number));
  }
  for (const std::int64_t number : {INT64_MIN, INT64_MIN + 1, std::int64_t{-5}, std::int64_t{0},
                                    std::int64_t{5}, (std::int64_t{1} << 53) + 1, INT64_MAX}) {
    values.push_back(PackedValue::of(number));
  }
  values.push_back(PackedValue::of(UINT64_MAX));
  using codec::detail::order_of_scalars;
  for (const auto& a : values) {
    for (const auto& b : values) {
      const auto ab = order_of_scalars(a->root(), b->root());
      ASSERT_EQ(0 <=> ab, order_of_scalars(b->root(), a->root()));
      for (const auto& c : values) {
        if (ab > 0 || order_of_scalars(b->root(), c->root()) > 0) continue;
        const bool both_equal = ab == 0 && order_of_scalars(b->root(), c->root()) == 0;
        const auto ac = order_of_scalars(a->root(), c->root());
        ASSERT_TRUE(both_equal ? ac == 0 : ac < 0);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
