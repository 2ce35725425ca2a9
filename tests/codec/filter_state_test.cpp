// Which values pass a filter.
#include "sluice/codec/filter_state.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "json_values.hpp"
#include "records.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::Comparison;
using codec::Filter;
using codec::FilterState;
using codec::FilterVerdict;
using codec::PackedValue;
using codec::SharedValue;
using test::json;
using test::raw;
using Kind = FilterVerdict::Kind;

/// A stream whose values are sent when they pass.
class Stream {
 public:
  explicit Stream(Filter filter) : state_(std::move(filter)) {}

  FilterVerdict offer(const SharedValue& value) {
    const FilterVerdict verdict = state_.judge(*value, now());
    if (verdict.kind == Kind::pass) state_.note_sent(value, now());
    return verdict;
  }
  FilterVerdict offer(std::string_view text) { return offer(json(text)); }
  /// Without sending it.
  FilterVerdict look_at(std::string_view text) { return state_.judge(*json(text), now()); }

  bool passes(const SharedValue& value) {
    const FilterVerdict verdict = offer(value);
    EXPECT_NE(verdict.kind, Kind::later);
    return verdict.kind == Kind::pass;
  }
  bool passes(std::string_view text) { return passes(json(text)); }

  /// "1" for each that passes, "0" for each that doesn't, "." for each that has to wait.
  std::string verdicts(std::initializer_list<std::string_view> texts) {
    std::string result;
    for (const auto text : texts) {
      const Kind kind = offer(text).kind;
      result += kind == Kind::pass ? '1' : kind == Kind::drop ? '0' : '.';
    }
    return result;
  }

  void wait(Duration time) { at_ += time; }
  Deadline now() const { return Deadline(1000h) + at_; }
  FilterVerdict later(Duration time) const { return {Kind::later, now() + time}; }

 private:
  FilterState state_;
  std::chrono::nanoseconds at_{};
};

Stream text(std::string_view filter) {
  return Stream(Filter::parse(filter));
}

TEST(AllFilter, PassesEverything) {
  EXPECT_EQ(Stream(Filter()).verdicts({"1", "1", "null", "{}"}), "1111");
  EXPECT_EQ(text("all").verdicts({"1", "1"}), "11");
  EXPECT_EQ(text("all and all").verdicts({"1", "1"}), "11");
  EXPECT_EQ(text("not all").verdicts({"1", "1"}), "00");
}

TEST(AllFilter, NeverLooksAtTheValue) {
  FilterState state;
  EXPECT_EQ(state.judge(PackedValue(raw(0xc1)), {}).kind, Kind::pass);
}

TEST(ChangedFilter, DropsAValueThatEqualsTheLastPassedOne) {
  auto stream = text("changed");
  EXPECT_EQ(stream.verdicts({"1", "1", "2", "2", "1", "[1]", "[1]", "null", "null"}), "101011010");
}

TEST(ChangedFilter, ComparesByValueNotByBytes) {
  auto stream = text("changed");
  EXPECT_TRUE(stream.passes(R"({"a": 1, "b": [1, 2]})"));
  EXPECT_FALSE(stream.passes(R"({"a": 1.0, "b": [1, 2]})"));
  EXPECT_FALSE(stream.passes(std::make_shared<const PackedValue>(
      raw(0x82, 0xa1, 'b', 0x92, 0xcc, 1, 0xd1, 0, 2, 0xd9, 1, 'a', 0xcd, 0, 1))));
  EXPECT_TRUE(stream.passes(R"({"a": 1, "b": [2, 1]})"));
  const auto nan = PackedValue::of(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(stream.passes(nan));
  EXPECT_FALSE(stream.passes(PackedValue::of(std::numeric_limits<float>::quiet_NaN())));
}

TEST(ChangedFilter, ComparesWithWhatWasSentNotWithWhatWasSeen) {
  auto stream = text("changed and threshold value=10 field=t");
  EXPECT_TRUE(stream.passes(R"({"t": 20})"));
  EXPECT_FALSE(stream.passes(R"({"t": 5})"));   // the threshold drops it
  EXPECT_FALSE(stream.passes(R"({"t": 20})"));  // what the observer has already
  EXPECT_EQ(stream.look_at(R"({"t": 30})").kind, Kind::pass);
  EXPECT_TRUE(stream.passes(R"({"t": 30})"));  // it wasn't sent when it was looked at
}

TEST(ChangedFilter, LooksAtAField) {
  auto stream = text("changed field=a.b");
  EXPECT_TRUE(stream.passes(R"({"a": {"b": 1}, "c": 1})"));
  EXPECT_FALSE(stream.passes(R"({"a": {"b": 1}, "c": 2})"));
  EXPECT_FALSE(stream.passes(R"({"c": 3, "a": {"x": 5, "b": 1}})"));
  EXPECT_TRUE(stream.passes(R"({"a": {"b": 2}, "c": 2})"));
}

TEST(ChangedFilter, TakesAMissingFieldForAValueOfItsOwn) {
  auto stream = text("changed field=a.b");
  EXPECT_TRUE(stream.passes(R"({"a": 1})"));  // the first passes
  for (const auto* missing : {R"({"a": {}})", "{}", "5", "null", R"({"a": [1, 2]})", R"({"b": 1})"})
    EXPECT_FALSE(stream.passes(missing)) << missing;
  EXPECT_TRUE(stream.passes(R"({"a": {"b": null}})"));  // nil is there
  EXPECT_FALSE(stream.passes(R"({"a": {"b": null}})"));
  EXPECT_TRUE(stream.passes("{}"));
}

TEST(FieldPath, ReachesIntoMapsAndArrays) {
  const auto reaches = [](std::string_view field, std::string_view value) {
    return Stream(Filter::non_empty(field)).passes(value);
  };
  EXPECT_TRUE(reaches("a", R"({"a": 1})"));
  EXPECT_TRUE(reaches("a.b.c", R"({"a": {"b": {"c": 1}}})"));
  EXPECT_TRUE(reaches("1", "[0, 1]"));
  EXPECT_FALSE(reaches("2", "[0, 1]"));
  EXPECT_TRUE(reaches("items.1.name", R"({"items": [{}, {"name": "x"}]})"));
  EXPECT_TRUE(reaches("1", R"({"1": 1})"));
  EXPECT_FALSE(reaches("1", R"({"0": 1})"));
  for (const auto* none : {"-1", "+1", "1x", "4294967297", "99999999999999999999", "x"})
    EXPECT_FALSE(reaches(none, "[0, 1]")) << none;
  EXPECT_TRUE(reaches("a\\.b", R"({"a.b": 1})"));
  EXPECT_TRUE(reaches("a\\\\.b", R"({"a\\": {"b": 1}})"));
  EXPECT_FALSE(reaches("a\\.b", R"({"a": {"b": 1}})"));
  EXPECT_FALSE(reaches("a", R"("a")"));
  EXPECT_FALSE(reaches("a", R"({"A": 1, "aa": 1, "": 1})"));
  EXPECT_TRUE(reaches(std::string(255, 'k'), "{\"" + std::string(255, 'k') + "\": 1}"));
  // of equal keys, the first; keys that are no strings are passed over
  auto stream = text("non_empty field=a");
  EXPECT_TRUE(
      stream.passes(std::make_shared<const PackedValue>(raw(0x83, 5, 0, 0xa1, 'a', 1, 0xa1, 'a', 0xc0))));
}

TEST(FieldPath, WalksOverPackedValuesOfEveryForm) {
  const auto at = [](const std::vector<std::byte>& before) {
    std::vector<std::byte> value = raw(0x82, 0xa1, 'x');
    value.insert(value.end(), before.begin(), before.end());
    for (const std::byte byte : raw(0xd9, 1, 'a', 7)) value.push_back(byte);
    return Stream(Filter::threshold(7, {.field = "a", .comparison = Comparison::eq}))
        .passes(std::make_shared<const PackedValue>(value));
  };
  for (const auto& before :
       {raw(1), raw(0xff), raw(0xc0), raw(0xc3), raw(0xc4, 2, 1, 2), raw(0xc5, 0, 1, 1), raw(0xc7, 1, 5, 0),
        raw(0xca, 1, 2, 3, 4), raw(0xcb, 1, 2, 3, 4, 5, 6, 7, 8), raw(0xcd, 1, 2), raw(0xd4, 1, 2),
        raw(0xd9, 1, 'a'), raw(0xda, 0, 1, 'a'), raw(0xdb, 0, 0, 0, 1, 'a'), raw(0x92, 1, 0x91, 2),
        raw(0xdc, 0, 1, 1), raw(0x81, 0xa1, 'a', 1), raw(0xde, 0, 1, 1, 1), raw(0xdf, 0, 0, 0, 1, 1, 1)})
    EXPECT_TRUE(at(before));
  // Bytes that end too early, or aren't msgpack, have no field: they aren't read beyond their end.
  const auto field = [](const std::vector<std::byte>& value) {
    return Stream(Filter::non_empty("a")).passes(std::make_shared<const PackedValue>(value));
  };
  for (const auto& value :
       {raw(), raw(0xc1), raw(0xdf, 0), raw(0x82, 0xa1, 'x'), raw(0x81, 0xa9, 'a'), raw(0x81, 0xa1, 'a'),
        raw(0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff), raw(0xdf, 0xff, 0xff, 0xff, 0xff)})
    EXPECT_FALSE(field(value));
}

TEST(ThresholdFilter, ReadsANumberInEachOfItsForms) {
  const auto holds = [](double number, const std::vector<std::byte>& value) {
    return Stream(Filter::threshold(number,
                                    {.comparison = Comparison::eq, .non_numbers = codec::NonNumbers::drop}))
        .passes(std::make_shared<const PackedValue>(value));
  };
  EXPECT_TRUE(holds(127, raw(0x7f)));
  EXPECT_TRUE(holds(-32, raw(0xe0)));
  EXPECT_TRUE(holds(1.5, raw(0xca, 0x3f, 0xc0, 0, 0)));
  EXPECT_TRUE(holds(-1.5, raw(0xcb, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0)));
  EXPECT_TRUE(holds(200, raw(0xcc, 200)));
  EXPECT_TRUE(holds(0x1234, raw(0xcd, 0x12, 0x34)));
  EXPECT_TRUE(holds(0x80000001, raw(0xce, 0x80, 0, 0, 1)));
  EXPECT_TRUE(holds(0x1p63, raw(0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0)));
  EXPECT_TRUE(holds(-128, raw(0xd0, 0x80)));
  EXPECT_TRUE(holds(-2, raw(0xd1, 0xff, 0xfe)));
  EXPECT_TRUE(holds(-2, raw(0xd2, 0xff, 0xff, 0xff, 0xfe)));
  EXPECT_TRUE(holds(-2, raw(0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe)));
  for (const auto& none :
       {raw(0xc0), raw(0xc2), raw(0xa1, '1'), raw(0x90), raw(0xd4, 1, 1), raw(0xc1), raw()})
    EXPECT_FALSE(holds(1, none));
}

TEST(NonEmptyFilter, DropsNilWhatIsntThereAndEmptyContainers) {
  EXPECT_EQ(text("non_empty").verdicts({"null", R"("")", "[]", "{}"}), "0000");
  EXPECT_EQ(text("non_empty").verdicts({"0", "false", R"(" ")", "[null]", R"({"": null})", "0.0"}), "111111");
  EXPECT_FALSE(text("non_empty").passes(std::make_shared<const PackedValue>(raw(0xc4, 0))));
  EXPECT_TRUE(text("non_empty").passes(std::make_shared<const PackedValue>(raw(0xc4, 1, 0))));
  EXPECT_TRUE(text("non_empty").passes(std::make_shared<const PackedValue>(raw(0xc7, 0, 7))));
  EXPECT_EQ(text("non_empty field=todos")
                .verdicts({"{}", R"({"todos": []})", R"({"todos": null})", R"({"todos": ["x"]})", "[]", "5"}),
            "000100");
}

TEST(ThresholdFilter, PassesWhileTheComparisonHolds) {
  const std::initializer_list<std::string_view> values{"59", "60", "61", "60.0", "59.999", "-61", "1e300"};
  EXPECT_EQ(text("threshold value=60").verdicts(values), "0010001");
  EXPECT_EQ(text("threshold value=60 comparison=gt").verdicts(values), "0010001");
  EXPECT_EQ(text("threshold value=60 comparison=gte").verdicts(values), "0111001");
  EXPECT_EQ(text("threshold value=60 comparison=lt").verdicts(values), "1000110");
  EXPECT_EQ(text("threshold value=60 comparison=lte").verdicts(values), "1101110");
  EXPECT_EQ(text("threshold value=60 comparison=eq").verdicts(values), "0101000");
  EXPECT_EQ(text("threshold value=60 comparison=neq").verdicts(values), "1010111");
  EXPECT_EQ(text("threshold value=60").verdicts({"61", "61", "61"}), "111");
}

TEST(ThresholdFilter, ComparesExactly) {
  const auto stream = [](Comparison comparison) {
    return Stream(Filter::threshold(0x1p53, {.comparison = comparison}));
  };
  EXPECT_TRUE(stream(Comparison::gt).passes("9007199254740993"));
  EXPECT_FALSE(stream(Comparison::eq).passes("9007199254740993"));
  EXPECT_TRUE(stream(Comparison::eq).passes("9007199254740992"));
  EXPECT_TRUE(stream(Comparison::gt).passes("18446744073709551615"));
  EXPECT_TRUE(stream(Comparison::lt).passes("-9223372036854775808"));
  EXPECT_TRUE(text("threshold value=-0.0 comparison=eq").passes("0"));
  EXPECT_TRUE(text("threshold value=1e300").passes(PackedValue::of(std::numeric_limits<double>::infinity())));
}

TEST(ThresholdFilter, PassesWhatIsNoNumberUnlessToldOtherwise) {
  const auto nan = PackedValue::of(std::numeric_limits<double>::quiet_NaN());
  for (const auto* others : {"null", "true", R"("61")", "[61]", R"({"t": 61})"}) {
    EXPECT_TRUE(text("threshold value=60").passes(others)) << others;
    EXPECT_FALSE(text("threshold value=60 non_numbers=drop").passes(others)) << others;
  }
  EXPECT_TRUE(text("threshold value=60 comparison=eq").passes(nan));
  EXPECT_FALSE(text("threshold value=60 comparison=neq non_numbers=drop").passes(nan));
  EXPECT_TRUE(text("threshold value=60 field=t").passes("{}"));
  EXPECT_FALSE(text("threshold value=60 field=t non_numbers=drop").passes("{}"));
  EXPECT_TRUE(text("threshold value=60 field=a.t non_numbers=drop").passes(R"({"a": {"t": 61}})"));
}

TEST(ThresholdFilter, InModeCrossingPassesWhenTheComparisonBeginsToHold) {
  EXPECT_EQ(text("threshold value=60 mode=crossing").verdicts({"50", "61", "70", "60", "65", "65", "10"}),
            "0100100");
  EXPECT_EQ(text("threshold value=60 mode=crossing").verdicts({"61", "61"}), "10");  // the first may hold
  EXPECT_EQ(text("threshold value=60 comparison=< mode=crossing").verdicts({"60", "59", "58", "60", "0"}),
            "01001");
}

TEST(ThresholdFilter, InModeCrossingForgetsNothingOverWhatIsNoNumber) {
  EXPECT_EQ(text("threshold value=60 mode=crossing").verdicts({"61", "null", "61", "60", "null", "61"}),
            "110011");
  EXPECT_EQ(
      text("threshold value=60 mode=crossing non_numbers=drop").verdicts({"61", "null", "62", "1", "62"}),
      "10001");
}

TEST(ThresholdFilter, InModeCrossingTellsWhatCouldntBeSentAgain) {
  auto stream = text("threshold value=60 mode=crossing");
  EXPECT_EQ(stream.look_at("61").kind, Kind::pass);
  EXPECT_EQ(stream.look_at("62").kind, Kind::pass);  // nothing was sent yet
  EXPECT_TRUE(stream.passes("63"));
  EXPECT_FALSE(stream.passes("64"));
  EXPECT_EQ(stream.look_at("1").kind, Kind::drop);
  EXPECT_EQ(stream.look_at("64").kind, Kind::pass);
  EXPECT_FALSE(stream.passes("1"));  // it went back before it was sent
  EXPECT_TRUE(stream.passes("64"));
}

TEST(ThresholdFilter, InModeCrossingSeesEveryValueInsideACombination) {
  // Both orders: the other part alone decides, and the crossing looks all the same.
  for (const auto* filter : {"non_empty field=x and threshold value=60 field=t mode=crossing",
                             "threshold value=60 field=t mode=crossing and non_empty field=x"}) {
    EXPECT_EQ(text(filter).verdicts(
                  {R"({"t": 61})", R"({"t": 61, "x": 1})", R"({"t": 1})", R"({"t": 61, "x": 1})"}),
              "0001");
  }
  EXPECT_EQ(text("non_empty field=x or threshold value=60 field=t mode=crossing")
                .verdicts({R"({"t": 61, "x": 1})", R"({"t": 61})", R"({"t": 1})", R"({"t": 61})"}),
            "1001");
  EXPECT_EQ(text("not threshold value=60 mode=crossing").verdicts({"1", "61", "62", "1", "61"}), "10110");
}

TEST(RateLimitFilter, NeverPassesMoreOftenThanItsInterval) {
  auto stream = text("rate_limit per_second=10");
  EXPECT_EQ(stream.offer("1").kind, Kind::pass);
  EXPECT_EQ(stream.offer("2"), stream.later(100ms));
  stream.wait(99'999'999ns);
  EXPECT_EQ(stream.offer("3"), stream.later(1ns));
  stream.wait(1ns);
  EXPECT_EQ(stream.offer("3").kind, Kind::pass);  // the newest one, at the time that was said
  EXPECT_EQ(stream.offer("4"), stream.later(100ms));
  stream.wait(1h);
  EXPECT_EQ(stream.offer("5").kind, Kind::pass);
}

TEST(RateLimitFilter, CountsWhatWasSentNotWhatWasDropped) {
  auto stream = text("rate_limit interval=1 and threshold value=60");
  EXPECT_EQ(stream.verdicts({"1", "61", "62", "2"}), "01.0");
  stream.wait(1s);
  EXPECT_EQ(stream.verdicts({"1", "61"}), "01");
}

TEST(RateLimitFilter, ForgetsAValueThatANewerOneTookBack) {
  auto stream = text("rate_limit interval=1 and changed");
  EXPECT_EQ(stream.verdicts({"1", "2", "1"}), "1.0");  // the observer has 1
  stream.wait(1s);
  EXPECT_EQ(stream.verdicts({"1", "2"}), "01");
}

TEST(RateLimitFilter, LosesNoCrossingThatLastsUntilItMayBeSent) {
  auto stream = text("threshold value=60 mode=crossing and rate_limit interval=1");
  EXPECT_EQ(stream.verdicts({"61", "1", "61", "62"}), "10..");
  stream.wait(1s);
  EXPECT_EQ(stream.verdicts({"63", "64"}), "10");
  EXPECT_EQ(stream.verdicts({"1", "61", "1"}), "0.0");  // over before its time came
  stream.wait(1s);
  EXPECT_EQ(stream.verdicts({"1", "61"}), "01");
}

TEST(RateLimitFilter, WaitsForTheLongestOfAllAndTheShortestOfAny) {
  auto both = text("rate_limit interval=1 and rate_limit interval=3 and rate_limit interval=2");
  EXPECT_EQ(both.offer("1").kind, Kind::pass);
  EXPECT_EQ(both.offer("2"), both.later(3s));
  auto any = text("rate_limit interval=2 or rate_limit interval=1 or rate_limit interval=3");
  EXPECT_EQ(any.offer("1").kind, Kind::pass);
  EXPECT_EQ(any.offer("2"), any.later(1s));
}

TEST(RateLimitFilter, IsPassedByInAnOr) {
  auto stream = text("rate_limit interval=1 or threshold value=60");
  EXPECT_EQ(stream.verdicts({"1", "2", "61", "3"}), "1.1.");
  EXPECT_EQ(stream.offer("3"), stream.later(1s));  // counted from what passed by
}

TEST(CombinedFilter, IsWhatItsPartsSay) {
  const std::initializer_list<std::string_view> values{R"({"a": 1})", R"({"b": 1})", R"({"a": 1, "b": 1})",
                                                       "{}"};
  EXPECT_EQ(text("non_empty field=a and non_empty field=b").verdicts(values), "0010");
  EXPECT_EQ(text("non_empty field=a or non_empty field=b").verdicts(values), "1110");
  EXPECT_EQ(text("not non_empty field=a").verdicts(values), "0101");
  EXPECT_EQ(text("not (non_empty field=a and non_empty field=b)").verdicts(values), "1101");
  EXPECT_EQ(text("not non_empty field=a and not non_empty field=b or non_empty field=a and non_empty field=b")
                .verdicts(values),
            "0011");
  EXPECT_EQ(text("not changed").verdicts({"1", "1", "2"}), "000");  // nothing is sent, so all is change
}

TEST(FilterState, StaysSmall) {
  const auto filter =
      Filter::parse("changed and rate_limit per_second=1 and threshold value=1 mode=crossing");
  const auto value = json("5");
  std::vector<FilterState> streams;
  streams.reserve(1000);
  const std::size_t before = test::allocations().count;
  for (int i = 0; i < 1000; ++i) streams.emplace_back(filter).note_sent(value, Deadline(1h));
  EXPECT_EQ(test::allocations().count, before);
}

TEST(FilterState, HoldsOnToAValueOnlyToCompareWithIt) {
  const auto value = json("5");
  FilterState compares(Filter::changed());
  FilterState other(Filter::threshold(1));
  compares.note_sent(value, Deadline(1h));
  other.note_sent(value, Deadline(1h));
  EXPECT_EQ(value.use_count(), 2);
}

TEST(FilterState, JudgesWithoutAllocating) {
  std::map<std::string, int> fields;
  for (int i = 0; i < 100; ++i) fields["field " + std::to_string(i)] = i;
  const auto first = PackedValue::of(fields);
  const auto same = PackedValue::of(fields);
  fields["field 50"] = 0;
  const auto other = PackedValue::of(fields);
  FilterState state(Filter::parse(
      R"((changed or changed field="field 50") and threshold value=1 mode=crossing field="field 1" or non_empty)"));
  state.judge(*first, Deadline(1h));
  state.note_sent(first, Deadline(1h));
  other->root();
  const std::size_t before = test::allocations().count;
  state.judge(*same, Deadline(2h));
  state.judge(*other, Deadline(2h));
  state.note_sent(other, Deadline(2h));
  EXPECT_LE(test::allocations().count - before, 1U);  // the tree of `same`
}

TEST(FilterState, FindsAFieldInTheBytesWithoutAllocating) {
  const auto value = PackedValue::of(std::map<std::string, std::vector<int>>{{"a", {1, 2}}, {"b", {3}}});
  for (const auto* filter : {"threshold value=1 field=b.0", "non_empty field=a", "non_empty field=a.b.c"}) {
    FilterState state(Filter::parse(filter));
    const std::size_t before = test::allocations().count;
    state.judge(*value, Deadline(1h));
    EXPECT_EQ(test::allocations().count, before) << filter;
  }
}

TEST(FilterState, NeedsNoTreeOfAValueWithTheSameBytes) {
  const auto value = PackedValue::of(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  const auto same = PackedValue::of(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  for (const auto* field : {"", "b"}) {
    FilterState state(Filter::changed(field));
    state.note_sent(value, Deadline(1h));
    const std::size_t before = test::allocations().count;
    EXPECT_EQ(state.judge(*same, Deadline(2h)).kind, Kind::drop);
    EXPECT_EQ(test::allocations().count, before);
  }
}

TEST(FilterState, IsUnchangedByAValueThatIsNone) {
  FilterState state(Filter::parse("changed and threshold value=60 mode=crossing"));
  EXPECT_EQ(state.judge(*json("61"), Deadline(1h)).kind, Kind::pass);
  state.note_sent(json("61"), Deadline(1h));
  EXPECT_THROW(state.judge(PackedValue(raw(0xc1)), Deadline(1h)), error);
  EXPECT_EQ(state.judge(*json("62"), Deadline(1h)).kind, Kind::drop);
}

}  // namespace
}  // namespace sluice
