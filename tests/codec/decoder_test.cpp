// Bytes from somebody who isn't trusted: decoded as msgpack-cxx would, or refused before anything is allocated.
#include "sluice/codec/decoder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "allocations.hpp"
#include "places.hpp"
#include "records.hpp"
#include "sluice/codec/timestamp.hpp"
#include "throws.hpp"

namespace sluice {
namespace {

using codec::DecodeOptions;
using codec::Decoder;
using codec::errc;
using test::Order;
using test::packed;
using test::raw;
using test::throws;

/// What is wrong with the bytes; errc{} if nothing is.
std::error_code fault_of(const std::vector<std::byte>& bytes, const DecodeOptions& options = {}) {
  codec::ObjectTree tree;
  return tree.parse(bytes, options);
}

std::vector<std::byte> nested_arrays(std::size_t depth) {
  std::vector<std::byte> bytes(depth, std::byte{0x91});
  bytes.push_back(std::byte{0});
  return bytes;
}

TEST(Decoder, RefusesEveryLengthBeyondTheEndWithoutAllocatingForIt) {
  // str, bin, ext, array and map with lengths of 8, 16 and 32 bits.
  for (const int tag : {0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf}) {
    for (const int high : {0x08, 0x7f, 0x80, 0xff}) {
      const auto bytes = raw(tag, high, 0xff, 0xff, 0xff, 1, 2, 3);
      const std::size_t before = test::allocations().bytes;
      const std::error_code fault = fault_of(bytes);
      EXPECT_LT(test::allocations().bytes - before, 1000U);
      EXPECT_EQ(fault, errc::cut_off) << std::hex << tag << ' ' << high;
    }
  }
}

TEST(Decoder, RefusesAValueThatIsCutAtAnyByte) {
  const auto whole = packed(test::some_of_everything());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    ASSERT_EQ(fault_of(cut), errc::cut_off) << bytes;
  }
}

TEST(Decoder, RefusesBytesBehindTheValueAndTheUndefinedByte) {
  EXPECT_EQ(fault_of(raw(1, 2)), errc::trailing_bytes);
  EXPECT_EQ(fault_of(raw(0x90, 0xc0)), errc::trailing_bytes);
  EXPECT_EQ(fault_of(raw(0xc1)), errc::undefined_byte);
  EXPECT_EQ(fault_of(raw(0x92, 1, 0xc1)), errc::undefined_byte);
}

TEST(Decoder, BoundsNesting) {
  for (const unsigned depth : {0U, 1U, 32U, codec::kDeepestLevel}) {
    EXPECT_FALSE(fault_of(nested_arrays(depth), {.max_depth = depth})) << depth;
    EXPECT_EQ(fault_of(nested_arrays(depth + 1), {.max_depth = depth}), errc::too_deep);
  }
  EXPECT_EQ(fault_of(nested_arrays(1'000'000), {.max_depth = codec::kDeepestLevel}), errc::too_deep);
  EXPECT_EQ(fault_of(raw(0x81, 0x81, 1, 1, 1), {.max_depth = 1}), errc::too_deep);
  EXPECT_TRUE(throws(sluice::errc::bad_option, "", [] { Decoder({.max_depth = codec::kDeepestLevel + 1}); }));
}

TEST(Decoder, BoundsElementsAndBytes) {
  const auto four = packed(std::vector<int>{1, 2, 3});
  EXPECT_FALSE(fault_of(four, {.max_elements = 4}));
  EXPECT_EQ(fault_of(four, {.max_elements = 3}), errc::too_many_elements);
  EXPECT_EQ(fault_of(raw(1), {.max_elements = 0}), errc::too_many_elements);
  EXPECT_EQ(fault_of(raw(0x81, 1, 1), {.max_elements = 2}), errc::too_many_elements) << "a key counts, too";
  EXPECT_FALSE(fault_of(four, {.max_bytes = 4}));
  EXPECT_EQ(fault_of(four, {.max_bytes = 3}), errc::too_large);
}

TEST(Decoder, TakesNoMoreMemoryThanItSays) {
  // Arrays of one, next to each other: the most values for the fewest bytes.
  std::vector<std::byte> bytes = raw(0xdd, 0, 1, 0, 0);
  bytes.resize(bytes.size() + (1U << 16U), std::byte{0x90});
  const std::size_t before = test::allocations().bytes;
  codec::ObjectTree tree;
  ASSERT_FALSE(tree.parse(bytes, {}));
  EXPECT_LE(test::allocations().bytes - before, 24 * bytes.size());
}

TEST(Decoder, AllocatesNothingForAMessageLikeTheLast) {
  const auto bytes = packed(Order{"short", 5});
  Decoder copying;
  Decoder in_place({.in_place = true});
  (void)copying.decode<Order>(bytes);
  (void)in_place.decode<test::OrderView>(bytes);
  const std::size_t before = test::allocations().count;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(copying.decode<Order>(bytes).cents, 5U);
    EXPECT_EQ(in_place.decode<test::OrderView>(bytes).cents, 5U);
  }
  EXPECT_EQ(test::allocations().count, before);
}

TEST(Decoder, ReadsTheExtremesOfNumbers) {
  EXPECT_EQ(codec::decode<std::uint64_t>(packed(UINT64_MAX)), UINT64_MAX);
  EXPECT_EQ(codec::decode<std::int64_t>(packed(INT64_MIN)), INT64_MIN);
  EXPECT_TRUE(std::isnan(codec::decode<double>(packed(std::numeric_limits<double>::quiet_NaN()))));
  EXPECT_TRUE(std::signbit(codec::decode<double>(raw(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0))));
  EXPECT_EQ(packed(-0.0), raw(0)) << "msgpack-cxx packs a float without a fraction as an integer";
  EXPECT_EQ(codec::decode<float>(packed(std::numeric_limits<float>::infinity())),
            std::numeric_limits<float>::infinity());
  EXPECT_TRUE(throws(errc::wrong_type, "", [] { codec::decode<std::int64_t>(packed(UINT64_MAX)); }));
  EXPECT_TRUE(throws(errc::wrong_type, "", [] { codec::decode<std::uint64_t>(packed(-1)); }));
  EXPECT_TRUE(throws(errc::wrong_type, "", [] { codec::decode<std::uint8_t>(packed(256)); }));
  EXPECT_TRUE(throws(errc::wrong_type, "", [] { codec::decode<int>(packed(1.5)); }));
}

TEST(Decoder, ReadsTimestampsOfAllThreeForms) {
  using codec::Timestamp;
  for (const Timestamp& time :
       {Timestamp{0, 0}, Timestamp{UINT32_MAX, 0}, Timestamp{1, 1}, Timestamp{0x3'ffff'ffff, 999'999'999},
        Timestamp{0x4'0000'0000, 0}, Timestamp{-1, 999'999'999}, Timestamp{INT64_MIN, 0},
        Timestamp{INT64_MAX, 1}}) {
    Decoder decoder({.any_timestamp = true});
    EXPECT_EQ(decoder.decode<Timestamp>(packed(time)), time) << time.seconds;
  }
  EXPECT_EQ(packed(Timestamp{1, 0}).size(), 6U);
  EXPECT_EQ(packed(Timestamp{1, 1}).size(), 10U);
  EXPECT_EQ(packed(Timestamp{-1, 0}).size(), 15U);
}

TEST(Decoder, RefusesTimestampsThatCantBeRight) {
  using codec::Timestamp;
  EXPECT_EQ(fault_of(packed(Timestamp{0, 1'000'000'000})), errc::bad_timestamp);
  EXPECT_EQ(fault_of(packed(Timestamp{-1, 1'000'000'000})), errc::bad_timestamp);
  EXPECT_EQ(fault_of(raw(0xd4, 0xff, 0)), errc::bad_timestamp) << "one byte";
  EXPECT_EQ(fault_of(raw(0xc7, 0, 0xff)), errc::bad_timestamp) << "none";
  for (const std::int64_t seconds : {INT64_MIN, INT64_MAX, std::int64_t{253'402'300'799}}) {
    EXPECT_EQ(fault_of(packed(Timestamp{seconds, 0})), errc::bad_timestamp) << "system_clock would overflow";
    EXPECT_FALSE(fault_of(packed(Timestamp{seconds, 0}), {.any_timestamp = true}));
  }
  const Timestamp of_eight_bytes{0x3'ffff'ffff, 0};
  EXPECT_EQ(fault_of(raw(0xd7, 0xff, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff)), errc::bad_timestamp)
      << "the year 2514";
  EXPECT_FALSE(fault_of(packed(of_eight_bytes), {.any_timestamp = true}));
  using Clock = std::chrono::system_clock;
  for (const auto time : {Clock::time_point::min() + std::chrono::seconds(2),
                          Clock::time_point::max() - std::chrono::seconds(2)})
    EXPECT_EQ(codec::decode<Clock::time_point>(packed(time)), time);
}

TEST(Decoder, PassesInvalidUtf8OnAsBytes) {
  EXPECT_EQ(codec::decode<std::string>(raw(0xa2, 0xff, 0xc0)), "\xff\xc0");
}

TEST(Decoder, ReadsAMillionEqualKeysInLinearTime) {
  std::vector<std::byte> bytes = raw(0xdf, 0, 7, 0xff, 0xff);
  for (int i = 0; i < 0x7ffff; ++i) {
    bytes.push_back(std::byte{0xa0});
    bytes.push_back(static_cast<std::byte>(i == 0 ? 1 : 2));
  }
  EXPECT_EQ((codec::decode<std::map<std::string, int>>(bytes)), (std::map<std::string, int>{{"", 2}}));
}

TEST(Decoder, TakesTheLastOfEqualKeysIntoAMapAndTheFirstIntoAField) {
  const auto twice = raw(0x82, 0xa5, 'c', 'o', 'u', 'n', 't', 1, 0xa5, 'c', 'o', 'u', 'n', 't', 2);
  EXPECT_EQ((codec::decode<std::map<std::string, int>>(twice)), (std::map<std::string, int>{{"count", 2}}));
  EXPECT_EQ(codec::decode<test::Named>(twice).count, 1);
}

/// A converter that decodes with the decoder that called it.
struct Nesting {
  void msgpack_unpack(const msgpack::object& value) {
    const auto inner = value.as<msgpack::type::raw_ref>();
    number = codec::decode<int>(std::as_bytes(std::span(inner.ptr, inner.size)));
  }
  int number = 0;
};

TEST(Decoder, IsForOneMessageAtATime) {
  EXPECT_TRUE(
      throws(sluice::errc::misuse, "inside a converter", [] { codec::decode<Nesting>(raw(0xc4, 1, 7)); }));
  EXPECT_EQ(codec::decode<int>(raw(7)), 7) << "and goes on with the next";
}

TEST(Decoder, CanBeMovedAndUsedOnBothSides) {
  const auto bytes = packed(std::vector<int>{1, 2, 3});
  Decoder first;
  EXPECT_EQ(first.decode<std::vector<int>>(bytes).size(), 3U);
  Decoder second = std::move(first);
  EXPECT_EQ(second.decode<std::vector<int>>(bytes).size(), 3U);
  EXPECT_EQ(first.decode<std::vector<int>>(bytes).size(),
            3U);  // NOLINT(bugprone-use-after-move): what is tested
  second = std::move(first);
  EXPECT_EQ(second.decode<std::vector<int>>(bytes).size(), 3U);
}

TEST(Evolution, AFieldAddedAtTheEndIsPassedOverByOlderReaders) {
  const test::OrderOfNextYear newer{"Ada", 5, "express"};
  EXPECT_EQ(codec::decode<Order>(packed(newer)), (Order{"Ada", 5}));
}

TEST(Evolution, AMissingFieldKeepsItsDefault) {
  const auto read = codec::decode<test::OrderOfNextYear>(packed(Order{"Ada", 5}));
  EXPECT_EQ(read.customer, "Ada");
  EXPECT_EQ(read.note, std::nullopt);
  EXPECT_EQ(codec::decode<Order>(packed(std::tuple<>())), Order{});
}

TEST(Evolution, FieldsOfMapsAreFoundByNameAndOthersPassedOver) {
  const test::Named named{"box", 3};
  const auto otherwise = codec::decode<test::NamedOtherwise>(packed(named));
  EXPECT_EQ(otherwise.name, "box");
  EXPECT_EQ(otherwise.weight, std::nullopt);
  EXPECT_EQ(codec::decode<test::Named>(packed(otherwise)).count, 0);
}

TEST(Evolution, AnAlternativeThatTheReaderDoesntKnowIsRefused) {
  using Newer = std::variant<int, std::string, bool>;
  using Older = std::variant<int, std::string>;
  EXPECT_EQ(codec::decode<Older>(packed(Newer("text"))), Older("text"));
  EXPECT_TRUE(throws(errc::wrong_type, "", [] { codec::decode<Older>(packed(Newer(true))); }));
  EXPECT_TRUE(throws(errc::wrong_type, "", [] { codec::decode<Older>(packed(std::vector<int>{0, 1, 2})); }));
}

/// Whether two trees say the same, NaN included.
bool same(const msgpack::object& a, const msgpack::object& b) {
  msgpack::sbuffer left;
  msgpack::sbuffer right;
  msgpack::pack(left, a);
  msgpack::pack(right, b);
  return std::string_view(left.data(), left.size()) == std::string_view(right.data(), right.size());
}

/// What msgpack-cxx makes of the bytes: nothing unless they are one whole value.
std::optional<msgpack::object_handle> unpacked(const std::vector<std::byte>& bytes) {
  try {
    std::size_t offset = 0;
    const auto limit = bytes.size();
    auto handle = msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, nullptr,
                                  nullptr, msgpack::unpack_limit(limit, limit, limit, limit, limit, 32));
    if (offset != bytes.size()) return std::nullopt;
    return handle;
  } catch (const msgpack::unpack_error&) {
    return std::nullopt;
  }
}

TEST(AgainstMsgpackCxx, TreesOfRandomBytesAreTheSame) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  codec::ObjectTree tree;
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::vector<std::byte> bytes(random() % 24 + 1);
    for (std::byte& byte : bytes)  // containers often, and short
      byte = static_cast<std::byte>(random() % 2 == 0 ? 0x90 + random() % 80 : random());
    const bool good = !tree.parse(bytes, {.any_timestamp = true});
    const auto theirs = unpacked(bytes);
    if (good) {
      ++accepted;
      ASSERT_TRUE(theirs && same(tree.root(), theirs->get())) << codec::describe(tree.root());
    } else if (theirs) {  // all that we refuse and they don't
      const auto fault = tree.parse(bytes, {.any_timestamp = true});
      ASSERT_TRUE(fault == errc::bad_timestamp || fault == errc::too_deep) << fault.message();
    }
  }
  EXPECT_GT(accepted, 1000);
}

/// "c4-00" and the like.
std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < text.size(); i += 3)
    bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// Whether a tree is what a case of the public suite says.
bool is_what_the_case_says(const msgpack::object& value, const nlohmann::json& expected) {
  if (expected.contains("nil")) return value.is_nil();
  if (expected.contains("bool")) return value.as<bool>() == expected["bool"].get<bool>();
  if (expected.contains("binary")) {
    const auto bytes = bytes_of(expected["binary"]);
    const auto view = value.as<msgpack::type::raw_ref>();
    return std::ranges::equal(std::as_bytes(std::span(view.ptr, view.size)), bytes);
  }
  if (expected.contains("bignum")) {
    const std::string digits = expected["bignum"];
    if (value.type == msgpack::type::FLOAT64 || value.type == msgpack::type::FLOAT32)
      return value.as<double>() == std::stod(digits);
    return digits == (value.type == msgpack::type::NEGATIVE_INTEGER ? std::to_string(value.via.i64)
                                                                    : std::to_string(value.via.u64));
  }
  if (expected.contains("number")) return value.as<double>() == expected["number"].get<double>();
  if (expected.contains("string")) return value.as<std::string>() == expected["string"].get<std::string>();
  if (expected.contains("timestamp")) {
    const auto time = value.as<codec::Timestamp>();
    return nlohmann::json{time.seconds, time.nanoseconds} == expected["timestamp"];
  }
  if (expected.contains("ext")) {
    const auto bytes = bytes_of(expected["ext"][1]);
    return value.via.ext.type() == expected["ext"][0].get<int>() &&
           std::ranges::equal(std::as_bytes(std::span(value.via.ext.data(), value.via.ext.size)), bytes);
  }
  std::ostringstream text;  // arrays and maps, as JSON
  text << value;
  return nlohmann::json::parse(text.str()) == expected[expected.contains("array") ? "array" : "map"];
}

TEST(PublicSuite, EveryCaseIsReadAsItSays) {
  std::ifstream file(test::vectors_dir() + "/public/msgpack-test-suite.json");
  if (!file) GTEST_SKIP() << "no msgpack-test-suite.json in " << test::vectors_dir() << "/public";
  int cases = 0;
  codec::ObjectTree tree;
  const nlohmann::json suite = nlohmann::json::parse(file);
  for (const auto& [name, group] : suite.items()) {
    for (const auto& one : group) {
      for (const std::string encoded : one["msgpack"]) {
        SCOPED_TRACE(name + " " + encoded);
        const auto bytes = bytes_of(encoded);
        ASSERT_FALSE(tree.parse(bytes, {.any_timestamp = true}));
        EXPECT_TRUE(is_what_the_case_says(tree.root(), one)) << one.dump();
        ++cases;
      }
    }
  }
  EXPECT_GT(cases, 100);
}

}  // namespace
}  // namespace sluice
