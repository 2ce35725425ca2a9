// Deltas: the value that one makes of its base is the one that it was made to, or the base stays as it was.
#include "sluice/codec/delta.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "places.hpp"
#include "python.hpp"
#include "random_values.hpp"
#include "records.hpp"
#include "sluice/codec.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"

namespace sluice {
namespace {

using codec::apply_delta;
using codec::errc;
using codec::make_delta;
using test::packed;
using test::raw;
using test::throws;

using Bytes = std::vector<std::byte>;
using Fields = std::vector<std::pair<std::string, int>>;  // of a map, in this order

/// A packed map.
Bytes map_of(const Fields& fields) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  packer.pack_map(static_cast<std::uint32_t>(fields.size()));
  for (const auto& field : fields) packer.pack(field.first).pack(field.second);
  const auto bytes = std::as_bytes(std::span(buffer.data(), buffer.size()));
  return {bytes.begin(), bytes.end()};
}

Fields numbered_fields(int count) {
  Fields fields;
  for (int i = 0; i < count; ++i) fields.emplace_back("field " + std::to_string(i), i * 1000);
  return fields;
}

std::vector<std::string> numbered_items(int count) {
  std::vector<std::string> items;
  for (int i = 0; i < count; ++i) items.push_back("item number " + std::to_string(i));
  return items;
}

/// The bytes of the delta, which has been seen to make `to` of `from`. None: there is no delta.
Bytes delta_between(const Bytes& from, const Bytes& to) {
  const auto delta = make_delta(from, to);
  if (!delta) return {};
  EXPECT_LT(delta->size(), to.size());
  EXPECT_EQ(apply_delta(from, *delta), to);
  return *delta;
}

/// How long the delta is; there has to be one.
std::size_t delta_bytes(const Bytes& from, const Bytes& to) {
  const Bytes delta = delta_between(from, to);
  EXPECT_FALSE(delta.empty());
  return delta.size();
}

TEST(Delta, KeepsRunsOfFieldsAndReplacesAValue) {
  const auto from = map_of({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}});
  EXPECT_EQ(delta_between(from, map_of({{"a", 1}, {"b", 2}, {"c", 9}, {"d", 4}})), raw(0x94, 2, 0xc2, 9, 1));
  EXPECT_EQ(delta_between(from, map_of({{"a", 5}, {"b", 6}, {"c", 3}, {"d", 4}})),
            raw(0x95, 0xc2, 5, 0xc2, 6, 2));
  EXPECT_EQ(delta_between(from, from), raw(0x91, 4));
}

TEST(Delta, AddsAndRemovesFieldsWhereTheyAre) {
  const auto from = map_of({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}});
  EXPECT_EQ(delta_between(from, map_of({{"a", 1}, {"c", 3}, {"d", 4}})), raw(0x93, 1, 0xff, 2));
  EXPECT_EQ(delta_between(from, map_of({{"a", 1}, {"x", 7}, {"b", 2}, {"c", 3}, {"d", 4}})),
            raw(0x93, 1, 0x92, 0xa1, 'x', 7, 3));
  EXPECT_EQ(delta_between(from, map_of({{"b", 2}, {"c", 3}, {"d", 4}, {"x", 7}})),
            raw(0x93, 0xff, 3, 0x92, 0xa1, 'x', 7));
  EXPECT_EQ(delta_between(from, map_of({{"a", 1}, {"b", 8}, {"d", 4}, {"x", 7}})),
            raw(0x96, 1, 0xc2, 8, 0xff, 1, 0x92, 0xa1, 'x', 7));
  EXPECT_EQ(delta_between(map_of({{"a", 1}}), map_of({})), Bytes());
}

TEST(Delta, EditsNestedValues) {
  using Nested = std::map<std::string, std::vector<std::map<std::string, int>>>;
  const Nested from{{"list", {{{"one", 1}, {"two", 2}}, {{"one", 3}, {"two", 4}}}}, {"rest", {}}};
  Nested to = from;
  to["list"][1]["two"] = 9;
  EXPECT_EQ(delta_between(packed(from), packed(to)), raw(0x93, 0xc3, 0x93, 1, 0xc3, 0x93, 1, 0xc2, 9, 1));
  to["list"][0].erase("one");
  to["list"].push_back({});
  delta_between(packed(from), packed(to));
}

TEST(Delta, OfAStateWithTenOfTenThousandFieldsChangedIsFiftyTimesSmaller) {
  auto fields = numbered_fields(10'000);
  const auto from = map_of(fields);
  for (std::size_t i = 3; i < fields.size(); i += 1000) fields[i].second = -7;
  const auto to = map_of(fields);
  EXPECT_LT(delta_bytes(from, to), to.size() / 1000);
}

TEST(Delta, OfOneItemInTenThousandIsAsLongAsTheItem) {
  const auto items = numbered_items(10'000);
  const std::string item = "a new item";
  for (const std::ptrdiff_t at : {0, 1, 5000, 9999, 10'000}) {
    auto longer = items;
    longer.insert(longer.begin() + at, item);
    EXPECT_LE(delta_bytes(packed(items), packed(longer)), item.size() + 10) << at;
    EXPECT_LE(delta_bytes(packed(longer), packed(items)), 8U) << at;
  }
  auto changed = items;
  changed[5000] += '!';
  EXPECT_LE(delta_bytes(packed(items), packed(changed)), changed[5000].size() + 10);
  // In a list that is a field of the state, and with other changes near and far.
  std::map<std::string, std::vector<std::string>> state{{"before", {"x"}}, {"items", items}, {"tail", {}}};
  const auto from = packed(state);
  auto& list = state["items"];
  list.insert(list.begin() + 7000, {item, item});
  list.erase(list.begin() + 2000);
  list[100] = "another";
  state["before"][0] = "y";
  EXPECT_LE(delta_bytes(from, packed(state)), 80U);
}

TEST(Delta, OfAListThatMovesOnIsAsLongAsWhatItGained) {
  const auto items = numbered_items(10'100);
  const std::vector<std::string> from(items.begin(), items.end() - 100);
  const std::vector<std::string> to(items.begin() + 100, items.end());
  EXPECT_LE(delta_bytes(packed(from), packed(to)), 100 * (items.back().size() + 1) + 20);
}

TEST(Delta, EditsRecordsOfAListOneByOne) {
  using Records = std::vector<std::tuple<std::uint64_t, std::string, bool>>;
  Records records;
  for (std::uint64_t i = 0; i < 1000; ++i)
    records.emplace_back(i * 100'000, "something to be done, number " + std::to_string(i), false);
  const auto from = packed(records);
  for (const std::size_t i : {10U, 11U, 500U}) std::get<2>(records[i]) = true;
  EXPECT_LE(delta_bytes(from, packed(records)), 40U);
}

TEST(Delta, KeepsTheOrderOfFields) {
  auto fields = numbered_fields(100);
  const auto from = map_of(fields);
  std::swap(fields[20], fields[70]);
  std::rotate(fields.begin() + 40, fields.begin() + 42, fields.begin() + 50);
  EXPECT_FALSE(delta_between(from, map_of(fields)).empty());
}

TEST(Delta, TakesKeysThatComeTwice) {
  Fields fields = numbered_fields(50);
  for (std::size_t i = 5; i < 40; i += 5) fields[i].first = "same";
  const auto from = map_of(fields);
  fields[10].second = 1;
  fields[35].second = 2;
  fields.erase(fields.begin() + 20);
  fields.insert(fields.begin() + 15, {"same", 4});
  EXPECT_FALSE(delta_between(from, map_of(fields)).empty());
}

TEST(Delta, TakesValuesThatLookLikeDeltas) {
  const auto from =
      raw(0x96, 0xc2, 0xc3, 0x92, 1, 0xff, 1, 0xff, 0xa3, 'a', 'n', 'd');  // [false, true, [1, -1], ...
  const auto to = raw(0x96, 0xc2, 0xc3, 0x92, 1, 0xc3, 1, 0xc2, 0xa3, 'a', 'n', 'd');
  EXPECT_EQ(delta_between(from, to), raw(0x97, 2, 0xc2, 0x92, 1, 0xc3, 1, 0xc2, 0xc2, 1));
}

TEST(Delta, LeavesFloatsAsTheyAre) {
  const auto with = [](int last) {  // [2.0, -0.0, 1.5, 2.0, last], the last two floats in four bytes
    return raw(0x95, 0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0, 0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0, 0xca, 0x3f, 0xc0, 0, 0,
               0xca, 0x40, 0, 0, 0, last);
  };
  EXPECT_EQ(delta_between(with(1), with(2)), raw(0x93, 4, 0xc2, 2));
  auto changed = with(1);
  changed[2] = std::byte{0x80};
  EXPECT_EQ(delta_bytes(with(1), changed), 12U);
}

TEST(Delta, IsNotMadeWhereTheValueIsSmallerOrOfAnotherKind) {
  const auto map = map_of({{"a", 1}});
  EXPECT_FALSE(make_delta(map, raw(0x91, 1)));
  EXPECT_FALSE(make_delta(raw(1), raw(2)));
  EXPECT_FALSE(make_delta(map, raw(0xa1, 'x')));
  EXPECT_FALSE(make_delta(raw(0x93, 1, 2, 3), raw(0x93, 4, 5, 6)));
  EXPECT_FALSE(make_delta(map_of(numbered_fields(1000)), packed(numbered_items(5))));
  std::vector<double> numbers(10'000, 1.5);
  const auto from = packed(numbers);
  for (double& number : numbers) number = 2.5;
  EXPECT_FALSE(make_delta(from, packed(numbers)));
}

TEST(Delta, IsNotMadeOfBytesThatAreNoValue) {
  const auto from = map_of(numbered_fields(20));
  auto to = numbered_fields(20);
  to[10].second = 1;
  const auto whole = map_of(to);
  EXPECT_FALSE(make_delta({}, whole));
  EXPECT_FALSE(make_delta(from, {}));
  for (std::size_t bytes = 1; bytes < whole.size(); ++bytes) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    const auto delta = make_delta(from, cut);
    EXPECT_TRUE(!delta || apply_delta(from, *delta) != whole) << bytes;
    make_delta(cut, from);
  }
}

TEST(Delta, IsRefusedUnlessItTakesExactlyTheEntriesOfItsBase) {
  const auto base = map_of({{"a", 1}, {"b", 2}, {"c", 3}});
  const auto refused = [&](const Bytes& delta, std::string_view words) {
    return throws(errc::bad_delta, words, [&] { apply_delta(base, delta); });
  };
  EXPECT_TRUE(refused(raw(0x90), "runs for the value's 3 entries, got runs for 0"));
  EXPECT_TRUE(refused(raw(0x91, 2), "got runs for 2"));
  EXPECT_TRUE(refused(raw(0x91, 4), "got runs for 4"));
  EXPECT_TRUE(refused(raw(0x92, 3, 0xff), "got runs for 4"));
  EXPECT_TRUE(refused(raw(0x93, 3, 0xc2, 1), "got runs for 4"));
  EXPECT_TRUE(refused(raw(0x92, 0xce, 0xff, 0xff, 0xff, 0xff, 0xd2, 0x80, 0, 0, 1), "entries"));
  EXPECT_TRUE(refused(raw(0x92, 0, 3), "a run of 1 to 2^32 - 1"));
  EXPECT_TRUE(refused(raw(0x91, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0), "a run of 1 to 2^32 - 1"));
  EXPECT_TRUE(refused(raw(0x91, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0), "a run of 1 to 2^32 - 1"));
  EXPECT_TRUE(refused(raw(0x92, 2, 0xc2), "a token, got the end"));
  EXPECT_TRUE(refused(raw(0x92, 3, 0x91, 1), "a value for each key"));
  EXPECT_TRUE(refused(raw(0x92, 3, 0xc0), "a number, a boolean or an array, got nil"));
  EXPECT_TRUE(refused(raw(0x81, 3, 3), "an array of runs, got map of 1"));
  EXPECT_TRUE(refused(raw(0x93, 0xc3, 0x90, 2), "an array or a map to edit, got integer"));
  EXPECT_TRUE(throws(errc::bad_delta, "an array of runs, got integer",
                     [] { apply_delta(raw(0x91, 0x91, 1), raw(0x92, 0xc3, 1)); }));
  EXPECT_TRUE(throws(errc::bad_delta, "to edit", [] { apply_delta(raw(1), raw(0x90)); }));
  EXPECT_TRUE(throws(errc::cut_off, "", [&] { apply_delta(base, raw(0x92, 3)); }));
  EXPECT_TRUE(throws(errc::cut_off, "", [&] { apply_delta(raw(0x92, 3), raw(0x91, 2)); }));
}

TEST(Delta, KeepsTheLimitsOfValues) {
  const auto base = packed(std::vector<std::string>(3, std::string(20, 'x')));  // 64 bytes, 4 values, 1 level
  const auto grown = raw(0x92, 3, 0x91, 1);
  EXPECT_NO_THROW(apply_delta(base, grown, {.max_bytes = 65, .max_elements = 5, .max_depth = 1}));
  EXPECT_TRUE(throws(errc::too_large, "at most 64 bytes, got one of 65",
                     [&] { apply_delta(base, grown, {.max_bytes = 64}); }));
  EXPECT_TRUE(throws(errc::too_many_elements, "at most 4 values, got one of 5",
                     [&] { apply_delta(base, grown, {.max_elements = 4}); }));
  EXPECT_TRUE(
      throws(errc::too_deep, "", [&] { apply_delta(base, raw(0x92, 3, 0x91, 0x90), {.max_depth = 1}); }));
  EXPECT_TRUE(throws(errc::too_deep, "a value of at most 1 levels",
                     [&] { apply_delta(base, raw(0x93, 0xc2, 0x90, 2), {.max_depth = 1}); }));
  EXPECT_TRUE(throws(errc::too_deep, "", [&] {
    apply_delta(raw(0x91, 0x91, 1), raw(0x92, 0xc3, 0x92, 1, 0x91, 0x90), {.max_depth = 2});
  }));
  EXPECT_NO_THROW(apply_delta(base, raw(0x93, 0xc2, 0x90, 2), {.max_depth = 2}));
  EXPECT_TRUE(
      throws(sluice::errc::bad_option, "max_depth", [&] { apply_delta(base, grown, {.max_depth = 513}); }));
}

TEST(Delta, ThatWasCutOrFlippedMakesAValueOrAnError) {
  auto fields = numbered_fields(40);
  const auto from = map_of(fields);
  fields[5].second = -1;
  fields.erase(fields.begin() + 20);
  fields.insert(fields.begin() + 30, {"new", 1});
  const auto delta = make_delta(from, map_of(fields));
  ASSERT_TRUE(delta);
  const auto is_value_or_error = [&](const Bytes& bytes) {
    try {
      codec::ObjectTree tree;
      const auto made = apply_delta(from, bytes);
      EXPECT_FALSE(tree.parse(made, {}));
      return true;
    } catch (const error& failure) {
      return failure.code().category() == codec::category();
    }
  };
  for (std::size_t i = 0; i < delta->size(); ++i) {
    const Bytes cut(delta->begin(), delta->begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_TRUE(throws(errc::cut_off, "", [&] { apply_delta(from, cut); })) << i;
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes flipped = *delta;
      flipped[i] ^= std::byte{1} << bit;
      EXPECT_TRUE(is_value_or_error(flipped)) << i << ' ' << bit;
    }
  }
}

TEST(Delta, OfAnyTwoValuesLeadsFromTheOneToTheOther) {
  const char* given = std::getenv("SLUICE_DELTA_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("SLUICE_DELTA_SEED=%llu\n", static_cast<unsigned long long>(first));
  const test::TempDirectory directory;
  std::ofstream cases(directory.file("cases"), std::ios::binary);
  int deltas = 0;
  for (std::uint64_t seed = first; seed < first + 3000; ++seed) {
    SCOPED_TRACE("SLUICE_DELTA_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto choose = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
    test::AnyValue value = test::any_value(choose);
    const auto from = packed(value);
    if (choose(10) == 0) value = test::any_value(choose);
    for (unsigned edits = choose(8); edits > 0; --edits) test::edit(value, choose);
    const auto to = packed(value);
    const auto delta = make_delta(from, to);
    if (!delta) continue;
    ASSERT_EQ(apply_delta(from, *delta), to);
    msgpack::pack(cases, std::array{from, *delta, to});
    ++deltas;
  }
  EXPECT_GT(deltas, 200);
  cases.close();
  // And once more by somebody else's program.
  if (!test::python_has("msgpack")) GTEST_SKIP() << "Python has no msgpack";
  const auto python =
      test::run_python({test::source_dir() + "/tests/codec/deltas.py", directory.file("cases")});
  EXPECT_EQ(python.output, std::to_string(deltas) + "\n");
}

}  // namespace
}  // namespace sluice
