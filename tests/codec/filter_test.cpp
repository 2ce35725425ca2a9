// Filters as they are written: by code, as text, in messages; and what is refused.
#include "sluice/codec/filter.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "json_values.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/error.hpp"
#include "throws.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::Comparison;
using codec::errc;
using codec::Filter;
using codec::NonNumbers;
using codec::ThresholdMode;
using nlohmann::json;
using test::filter_of;
using test::throws;

/// Every filter three times.
struct Written {
  Filter code;
  std::string text;
  std::string message;
};

std::vector<Written> written_filters() {
  const auto changed = Filter::changed("a");
  const auto empty = Filter::non_empty();
  const auto rate = Filter::rate_limit(100ms);
  return {
      {Filter(), "all", R"("all")"},
      {Filter::changed(), "changed", R"("changed")"},
      {Filter::changed("todos"), "changed field=todos", R"(["changed", {"field": "todos"}])"},
      {Filter::non_empty(), "non_empty", R"("non_empty")"},
      {Filter::non_empty("a.b\\.c.0"), R"(non_empty field="a.b\.c.0")",
       R"(["non_empty", {"field": "a.b\\.c.0"}])"},
      {Filter::threshold(60), "threshold value=60", R"(["threshold", {"value": 60}])"},
      {Filter::threshold(-0.5, {.field = "two words (of them)",
                                .comparison = Comparison::lte,
                                .mode = ThresholdMode::crossing,
                                .non_numbers = NonNumbers::drop}),
       R"_(threshold value=-0.5 field="two words (of them)" comparison=lte mode=crossing non_numbers=drop)_",
       R"_(["threshold", {"value": -0.5, "field": "two words (of them)", "comparison": "lte",
                         "mode": "crossing", "non_numbers": "drop"}])_"},
      {Filter::rate_limit(10), "rate_limit per_second=10", R"(["rate_limit", {"per_second": 10}])"},
      {changed && rate, "changed field=a and rate_limit interval=0.1",
       R"(["and", [["changed", {"field": "a"}], ["rate_limit", {"interval": 0.1}]]])"},
      {changed || empty || rate, "changed field=a or (non_empty or rate_limit interval=0.1)",
       R"(["or", [["changed", {"field": "a"}], "non_empty", ["rate_limit", {"interval": 0.1}]]])"},
      {!empty, "not non_empty", R"(["not", "non_empty"])"},
      {!!empty, "not not non_empty", R"(["not", ["not", "non_empty"]])"},
      {!(changed || empty) && rate, "not(changed field=a or non_empty)and rate_limit interval=0.1",
       R"(["and", [["not", ["or", [["changed", {"field": "a"}], "non_empty"]]],
                   ["rate_limit", {"interval": 0.1}]]])"},
  };
}

TEST(Filter, IsTheSameByCodeAsTextAndInAMessage) {
  for (const auto& [code, text, message] : written_filters()) {
    EXPECT_TRUE(Filter::parse(text) == code) << text;
    EXPECT_TRUE(filter_of(json::parse(message)) == code) << message;
  }
  const auto filters = written_filters();
  for (std::size_t i = 0; i < filters.size(); ++i)
    for (std::size_t j = 0; j < filters.size(); ++j) EXPECT_EQ(filters[i].code == filters[j].code, i == j);
}

struct Frame {
  int before = 0;
  Filter filter = {};
  int after = 0;
  MSGPACK_DEFINE(before, filter, after)
};

TEST(Filter, GoesThroughAMessageUnchanged) {
  for (const Written& written : written_filters()) {
    msgpack::sbuffer buffer;
    msgpack::pack(buffer, Frame{1, written.code, 2});
    const auto frame = codec::decode<Frame>(std::as_bytes(std::span(buffer.data(), buffer.size())));
    EXPECT_TRUE(frame.filter == written.code) << written.text;
    EXPECT_EQ(frame.after, 2);
  }
  for (const double per_second : {1.0 / 86400, 0.3, 1.0, 3.0, 7.0, 999.0, 1e6, 1e9}) {
    const auto filter = Filter::rate_limit(per_second);
    const auto bytes = filter.packed();
    EXPECT_TRUE(codec::decode<Filter>(bytes) == filter) << per_second;
  }
}

TEST(Filter, BindsNotCloserThanAndAndAndCloserThanOr) {
  const Filter a = Filter::changed("a");
  const Filter b = Filter::changed("b");
  const Filter c = Filter::changed("c");
  const auto text = [](const std::string& with) {
    std::string whole;
    for (const char letter : with) {
      if (letter >= 'a' && letter <= 'c') {
        whole += std::string(" changed field=") + letter;
      } else {
        whole += letter == '&'   ? " and "
                 : letter == '|' ? " or "
                 : letter == '!' ? " not "
                                 : std::string{letter};
      }
    }
    return Filter::parse(whole);
  };
  EXPECT_TRUE(text("a|b&c") == (a || (b && c)));
  EXPECT_TRUE(text("a&b|c") == ((a && b) || c));
  EXPECT_TRUE(text("(a|b)&c") == ((a || b) && c));
  EXPECT_TRUE(text("!a&b") == ((!a) && b));
  EXPECT_TRUE(text("!(a&b)") == !(a && b));
  EXPECT_TRUE(text("a&(b&c)") == (a && b && c));
}

TEST(Filter, TakesThePublishedNames) {
  const std::vector<std::pair<std::string, std::string>> same{
      {"nonEmpty", "non_empty"},
      {"non-empty", "non_empty"},
      {"rateLimit perSecond=5", "rate_limit per_second=5"},
      {"rate-limit per-second=5", "rate_limit per_second=5"},
      {"rate_limit interval=0.2", "rate_limit per_second=5"},
      {"threshold value=1 nonNumbers=drop", "threshold value=1 non_numbers=drop"},
      {"threshold value=1 non-numbers=drop", "threshold value=1 non_numbers=drop"},
      {"threshold value=1 comparison=>", "threshold value=1"},
      {"threshold value=1 comparison=gt mode=level non_numbers=pass", "threshold value=1"},
      {"threshold value=1 comparison=>=", "threshold value=1 comparison=gte"},
      {"threshold value=1 comparison=<", "threshold value=1 comparison=lt"},
      {"threshold value=1 comparison=<=", "threshold value=1 comparison=lte"},
      {"threshold value=1 comparison===", "threshold value=1 comparison=eq"},
      {"threshold value=1 comparison=!=", "threshold value=1 comparison=neq"},
      {"\t changed\n field=\"a\" ", "changed field=a"},
  };
  for (const auto& [alias, name] : same) EXPECT_TRUE(Filter::parse(alias) == Filter::parse(name)) << alias;
  EXPECT_TRUE(filter_of({"rateLimit", {{"perSecond", 5}}}) == Filter::rate_limit(5));
  EXPECT_TRUE(filter_of({"threshold", {{"value", 1}, {"comparison", ">="}}}) ==
              Filter::threshold(1, {.comparison = Comparison::gte}));
}

TEST(Filter, TakesAPlainMessage) {
  EXPECT_TRUE(filter_of(nullptr) == Filter());
  EXPECT_TRUE(filter_of(json::parse(R"(["changed"])")) == Filter::changed());
  EXPECT_TRUE(filter_of(json::parse(R"(["changed", {}])")) == Filter::changed());
  EXPECT_TRUE(filter_of(json::parse(R"(["and", ["changed"]])")) == Filter::changed());
}

TEST(Filter, TakesStringsAsNumbers) {
  for (const json& value : {json("60"), json(60), json(60.0), json("60.0"), json("6e1"), json(60U)})
    EXPECT_TRUE(filter_of({"threshold", {{"value", value}}}) == Filter::threshold(60)) << value;
  EXPECT_TRUE(filter_of({"rate_limit", {{"per_second", "0.5"}}}) == Filter::rate_limit(2s));
  EXPECT_TRUE(filter_of({"rate_limit", {{"interval", "2"}}}) == Filter::rate_limit(2s));
  for (const auto* text :
       {"", " ", "60 ", " 60", "0x10", "6e", "--1", "1.2.3", "nan", "inf", "1e999", "sixty"}) {
    EXPECT_TRUE(throws(errc::bad_filter, "value: expected a number, got \"", [&] {
      filter_of({"threshold", {{"value", text}}});
    })) << text;
  }
  const std::string long_one(100'000, '9');
  EXPECT_TRUE(throws(errc::bad_filter, "(100000 bytes)", [&] {
    filter_of({"threshold", {{"value", long_one}}});
  }));
}

TEST(Filter, RefusesWhatDoesntExistAndListsWhatDoes) {
  const std::string list =
      "expected one of all, changed, non_empty, threshold, rate_limit, and, or, not, got ";
  for (const std::string name : {"every", "Changed", "non__empty", "CHANGED", "change", "nonempty", "none"}) {
    const std::string words = list + base::quoted_text(name);
    EXPECT_TRUE(throws(errc::bad_filter, words, [&] { Filter::parse(name); }));
    EXPECT_TRUE(throws(errc::bad_filter, words, [&] { filter_of(name); }));
    EXPECT_TRUE(throws(errc::bad_filter, list, [&] { filter_of({name, json::object()}); }));
  }
  EXPECT_TRUE(throws(errc::bad_filter, list + R"("custom", which would need code)",
                     [] { Filter::parse("custom name=mine"); }));
  EXPECT_TRUE(throws(errc::bad_filter, list + R"("custom")", [] { filter_of("custom"); }));
  EXPECT_TRUE(throws(errc::bad_filter, list + "\"\"", [] { filter_of(""); }));
  EXPECT_TRUE(throws(errc::bad_filter, R"(\x1b[2J)", [] { filter_of("\x1b[2J"); }));
  EXPECT_TRUE(throws(errc::bad_filter, "(5000 bytes)", [] { filter_of(std::string(5000, 'x')); }));
}

TEST(Filter, RefusesBadParameters) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {R"(["all", {"field": "a"}])", R"(filter all: expected no parameters, got "field")"},
      {R"(["changed", {"value": 1}])", R"(filter changed: expected parameters of these: field, got "value")"},
      {R"(["changed", {"field": ""}])", "filter changed: field: expected a path"},
      {R"(["changed", {"field": 5}])", "got 5"},
      {R"(["changed", {"field": ["a"]}])", "got array of 1"},
      {R"(["changed", {"field": null}])", "got nil"},
      {R"(["changed", {"field": "."}])", "expected names parted by single dots"},
      {R"(["changed", {"field": "a..b"}])", "expected names parted by single dots"},
      {R"(["changed", {"field": ".a"}])", "expected names parted by single dots"},
      {R"(["changed", {"field": "a."}])", "expected names parted by single dots"},
      {R"(["changed", {"field": "a\\b"}])", "expected a dot or a backslash behind a backslash"},
      {R"(["changed", {"field": "a\\"}])", "expected a dot or a backslash behind a backslash"},
      {R"("threshold")", "filter threshold: value: expected a number, got nothing"},
      {R"(["threshold", {"vale": 1}])",
       R"(expected parameters of these: value, field, comparison, mode, non_numbers, got "vale")"},
      {R"(["threshold", {"value": true}])", "value: expected a number, got boolean"},
      {R"(["threshold", {"value": null}])", "value: expected a number, got nil"},
      {R"(["threshold", {"value": 9007199254740993}])", "expected an integer that a double holds exactly"},
      {R"(["threshold", {"value": "9007199254740993"}])", "expected an integer that a double holds exactly"},
      {R"(["threshold", {"value": 18446744073709551615}])",
       "expected an integer that a double holds exactly"},
      {R"(["threshold", {"value": 1, "comparison": "ge"}])",
       R"(comparison: expected one of gt, >, gte, >=, lt, <, lte, <=, eq, ==, neq, !=, got "ge")"},
      {R"(["threshold", {"value": 1, "comparison": 1}])", "got 1"},
      {R"(["threshold", {"value": 1, "mode": "rising"}])",
       R"(mode: expected one of level, crossing, got "rising")"},
      {R"(["threshold", {"value": 1, "non_numbers": true}])", "expected one of pass, drop, got boolean"},
      {R"(["threshold", {"value": 1, "nonNumbers": "drop", "non-numbers": "drop"}])",
       "filter threshold: expected one non_numbers, got two"},
      {R"("rate_limit")", "filter rate_limit: expected one of per_second, interval"},
      {R"(["rate_limit", {"per_second": 1, "interval": 1}])", "expected one of per_second, interval"},
      {R"(["rate_limit", {"per_second": 0}])", "per_second: expected 1/86400 (one a day) to 1e9, got 0"},
      {R"(["rate_limit", {"per_second": -1}])", "got -1"},
      {R"(["rate_limit", {"per_second": 1.1e9}])", "got 1.1e+09"},
      {R"(["rate_limit", {"per_second": 1e-5}])", "got 1e-05"},
      {R"(["rate_limit", {"interval": 0}])", "interval: expected seconds, 1e-9 to 86400, got 0"},
      {R"(["rate_limit", {"interval": -3}])", "got -3"},
      {R"(["rate_limit", {"interval": 1e-10}])", "interval: expected 1 ns to 24 h"},
      {R"(["rate_limit", {"interval": 86400.5}])", "interval: expected 1 ns to 24 h"},
      {R"(["rate_limit", {"interval": 1e300}])", "expected seconds, 1e-9 to 86400"},
      {R"(["rate_limit", {"per_second": "fast"}])", R"(per_second: expected a number, got "fast")"},
  };
  for (const auto& one : refused) {
    EXPECT_TRUE(throws(errc::bad_filter, one.second, [&] { filter_of(json::parse(one.first)); }))
        << one.first;
  }
}

TEST(Filter, RefusesNumbersThatAreNone) {
  for (const double value : {NAN, INFINITY, -INFINITY}) {
    EXPECT_TRUE(
        throws(errc::bad_filter, "value: expected a finite number, got", [&] { Filter::threshold(value); }));
    EXPECT_TRUE(throws(errc::bad_filter, "per_second: expected", [&] { Filter::rate_limit(value); }));
    for (const std::string parameter : {"value", "per_second", "interval"}) {
      const std::string name = parameter == "value" ? "threshold" : "rate_limit";
      using Parameters = std::map<std::string, double>;
      const auto packed = codec::PackedValue::of(std::pair(name, Parameters{{parameter, value}}));
      EXPECT_TRUE(throws(errc::bad_filter, parameter + ": expected", [&] { Filter::from(packed->root()); }));
    }
  }
  for (const Duration interval : {Duration(0s), Duration(-1ns), Duration(24h + 1ns), Duration(365 * 24h)}) {
    EXPECT_TRUE(
        throws(errc::bad_filter, "interval: expected 1 ns to 24 h", [&] { Filter::rate_limit(interval); }));
  }
  EXPECT_NO_THROW(Filter::rate_limit(1ns));
  EXPECT_NO_THROW(Filter::rate_limit(24h));
}

TEST(Filter, RefusesMessagesOfAnotherShape) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {"5", "expected a name, or an array that begins with one, got integer"},
      {"true", "got boolean"},
      {"[]", "got array of 0"},
      {"{}", "got map of 0"},
      {R"({"changed": {}})", "got map of 1"},
      {"[5]", "got array of 1"},
      {"[[]]", "got array of 1"},
      {R"(["changed", "field"])", "parameters: expected a map of at most 8, got string of 5 bytes"},
      {R"(["changed", null])", "got nil"},
      {R"(["changed", {}, {}])", "expected an array of a name and parameters, got one of 3"},
      {R"("and")", "filter and: expected an array of 2, got one of 1"},
      {R"(["or", "all", "all"])", "filter or: expected an array of 2, got one of 3"},
      {R"(["not"])", "filter not: expected an array of 2, got one of 1"},
      {R"(["not", []])", "expected a name, or an array that begins with one, got array of 0"},
      {R"(["and", []])", "filter and: expected an array of filters, got array of 0"},
      {R"(["and", "all"])", "filter and: expected an array of filters, got string of 3 bytes"},
      {R"(["and", {}])", "filter and: expected an array of filters, got map of 0"},
      {R"(["not", ["and", ["all", ["rate_limit", {"interval": 1}]]]])",
       "filter not: expected no rate_limit in it"},
  };
  for (const auto& one : refused) {
    EXPECT_TRUE(throws(errc::bad_filter, one.second, [&] { filter_of(json::parse(one.first)); }))
        << one.first;
  }
  const auto numbered = codec::PackedValue::of(std::pair("changed", std::map<int, std::string>{{1, "a"}}));
  EXPECT_TRUE(throws(errc::bad_filter, "parameters: expected a string for each name, got integer",
                     [&] { Filter::from(numbered->root()); }));
}

TEST(Filter, RefusesTextsOfAnotherShapeAndSaysWhere) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {"", "filter, at byte 0: expected a filter, got the end"},
      {" ", "at byte 1: expected a filter, got the end"},
      {"()", R"_(at byte 1: expected a filter, got ")")_"},
      {"(changed", "at byte 8: expected and, or, a parameter or ), got the end"},
      {"changed)", R"_(at byte 7: expected and, or, a parameter or the end, got ")")_"},
      {"changed changed", R"(at byte 8: expected and, or, a parameter or the end, got "changed")"},
      {"changed and", "at byte 11: expected a filter, got the end"},
      {"changed and and changed", R"(at byte 12: expected a filter, got "and changed")"},
      {"or changed", R"(at byte 0: expected a filter, got "or changed")"},
      {"not", "at byte 3: expected a filter, got the end"},
      {"not rate_limit per_second=1", "filter not: expected no rate_limit in it"},
      {"changed field=\"a", "at byte 14: expected a value that ends with its second quote"},
      {"changed field=\"a\"b", "at byte 14: expected a value that ends with its second quote"},
      {"changed field=", "field: expected a path of names parted by dots, got \"\""},
      {"changed field=\"\"", "field: expected a path of names parted by dots, got \"\""},
      {"changed =a", R"(expected parameters of these: field, got "")"},
      {"changed field=a field=b", "filter changed: expected one field, got two"},
      {"field=a", R"(expected one of all, changed)"},
      {"changed && changed", R"(at byte 8: expected and, or, a parameter or the end, got "&& changed")"},
      {"threshold value=1 a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1", "expected fewer parameters"},
  };
  for (const auto& one : refused) {
    EXPECT_TRUE(throws(errc::bad_filter, one.second, [&] { Filter::parse(one.first); })) << one.first;
  }
}

TEST(Filter, IsBounded) {
  Filter most = Filter::changed();
  for (std::size_t i = 2; i < codec::kMostFilterNodes; ++i) most = most && Filter::changed();
  EXPECT_TRUE(throws(errc::bad_filter, "expected at most 32 filters in it, combinations included, got 33",
                     [&] { most&& Filter::changed(); }));
  EXPECT_TRUE(throws(errc::bad_filter, "expected at most 32", [&] { !most; }));

  Filter deepest = Filter::changed();
  for (unsigned i = 1; i < codec::kDeepestFilter; ++i) deepest = !deepest;
  EXPECT_TRUE(codec::decode<Filter>(deepest.packed()) == deepest);
  EXPECT_TRUE(throws(errc::bad_filter, "expected combinations at most 16 deep", [&] { !deepest; }));
  json message = json::parse(R"(["and", ["changed"]])");
  for (unsigned i = 1; i < codec::kDeepestFilter - 1; ++i) message = {"and", json::array({message})};
  EXPECT_TRUE(filter_of(message) == Filter::changed());
  EXPECT_TRUE(throws(errc::bad_filter, "expected combinations at most 16 deep", [&] {
    filter_of({"not", message});
  }));

  EXPECT_TRUE(throws(errc::bad_filter, "parentheses and nots at most 16 deep",
                     [] { Filter::parse(std::string(4000, '(')); }));
  std::string nots;
  for (int i = 0; i < 1000; ++i) nots += "not ";
  EXPECT_TRUE(
      throws(errc::bad_filter, "parentheses and nots at most 16 deep", [&] { Filter::parse(nots + "all"); }));
  EXPECT_TRUE(throws(errc::bad_filter, "expected at most 4096 bytes of text, got 4097",
                     [] { Filter::parse(std::string(4097, ' ')); }));
  EXPECT_NO_THROW(Filter::changed(std::string(255, 'a')));
  EXPECT_TRUE(
      throws(errc::bad_filter, "expected at most 255 bytes", [] { Filter::changed(std::string(256, 'a')); }));
}

TEST(Filter, AHostileMessageCostsLittle) {
  const auto bytes_allocated_for = [](const json& message) {
    const auto value = test::value_of(message);
    value->root();
    const std::size_t before = test::allocations().bytes;
    EXPECT_TRUE(throws(errc::bad_filter, "", [&] { Filter::from(value->root()); }));
    return test::allocations().bytes - before;
  };
  constexpr std::size_t kLittle = 300'000;
  json many = json::array();
  for (int i = 0; i < 100'000; ++i) many.push_back("changed");
  EXPECT_LT(bytes_allocated_for({"and", many}), kLittle);

  json parameters;
  for (int i = 0; i < 100'000; ++i) parameters[std::to_string(i)] = i;
  EXPECT_LT(bytes_allocated_for({"changed", parameters}), kLittle);
  EXPECT_LT(bytes_allocated_for({"changed", {{std::string(1'000'000, 'f'), 1}}}), kLittle);
  EXPECT_LT(bytes_allocated_for({"changed", {{"field", std::string(1'000'000, 'f')}}}), kLittle);

  json nested = "changed";
  for (int i = 0; i < 200; ++i) nested = {"not", nested};
  EXPECT_LT(bytes_allocated_for(nested), kLittle);

  json wide = "changed";  // as many as pass at each level, so that it's refused as late as can be
  for (unsigned level = 0; level < codec::kDeepestFilter - 1; ++level) {
    json parts = json::array();
    for (std::size_t i = 0; i < codec::kMostFilterNodes - 3; ++i) parts.push_back("changed");
    parts.push_back(wide);
    wide = {level % 2 == 0 ? "and" : "or", parts};
  }
  EXPECT_LT(bytes_allocated_for(wide), 10 * kLittle);
}

}  // namespace
}  // namespace sluice
