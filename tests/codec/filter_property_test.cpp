// Random filters over random schedules, beside a model that is written from the rules alone.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "json_values.hpp"
#include "sluice/codec/filter_state.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using codec::FilterVerdict;
using nlohmann::json;
using Kind = FilterVerdict::Kind;

/// One stream, over JSON. A filter is as it stands in a message.
class Model {
 public:
  explicit Model(json filter) : filter_(std::move(filter)) {}

  FilterVerdict judge(const json& value, Deadline now) {
    holds_ = held_;
    const FilterVerdict verdict = judge(filter_, "/", value, now);
    for (const auto& [place, holds] : holds_)
      if (verdict.kind == Kind::drop || !holds) held_[place] = holds;
    return verdict;
  }

  void note_sent(const json& value, Deadline now) {
    sent_ = value;
    sent_at_ = now;
    held_ = holds_;
  }

 private:
  static FilterVerdict yes(bool passes) { return {passes ? Kind::pass : Kind::drop, {}}; }

  /// Nothing: it isn't there.
  static std::optional<json> field(const json& parameters, const json& value) {
    if (!parameters.contains("field")) return value;
    const std::string name = parameters["field"];
    if (!value.is_object() || !value.contains(name)) return std::nullopt;
    return value[name];
  }

  static bool compare(double a, const std::string& how, double b) {
    if (how == "gt") return a > b;
    if (how == "gte") return a >= b;
    if (how == "lt") return a < b;
    if (how == "lte") return a <= b;
    return how == "eq" ? a == b : a != b;
  }

  FilterVerdict judge(const json& filter, const std::string& place, const json& value, Deadline now) {
    const std::string name = filter[0];
    const json& rest = filter[1];
    if (name == "and" || name == "or") {
      bool passes = name == "and";
      bool waits = false;
      Deadline at = name == "and" ? Deadline::min() : Deadline::max();
      for (std::size_t i = 0; i < rest.size(); ++i) {
        const FilterVerdict part = judge(rest[i], place + std::to_string(i) + "/", value, now);
        if (part.kind == Kind::later) {
          waits = true;
          at = name == "and" ? std::max(at, part.at) : std::min(at, part.at);
        } else if (name == "and") {
          passes = passes && part.kind == Kind::pass;
        } else {
          passes = passes || part.kind == Kind::pass;
        }
      }
      if (waits && passes == (name == "and")) return {Kind::later, at};
      return yes(passes);
    }
    if (name == "not") return yes(judge(rest, place + "0/", value, now).kind == Kind::drop);
    if (name == "changed") return yes(!sent_ || field(rest, value) != field(rest, *sent_));
    if (name == "non_empty") {
      const auto there = field(rest, value);
      return yes(there && !there->is_null() && (!there->is_structured() || !there->empty()) &&
                 *there != json(""));
    }
    if (name == "rate_limit") {
      const std::chrono::milliseconds interval(std::lround(rest["interval"].get<double>() * 1000));
      if (!sent_at_ || now >= *sent_at_ + interval) return yes(true);
      return {Kind::later, *sent_at_ + interval};
    }
    const auto there = field(rest, value);
    if (!there || !there->is_number()) return yes(rest["non_numbers"] == "pass");
    const bool now_holds = compare(*there, rest["comparison"], rest["value"]);
    if (rest["mode"] == "level") return yes(now_holds);
    holds_[place] = now_holds;
    return yes(now_holds && !held_[place]);
  }

  const json filter_;
  std::optional<json> sent_;
  std::optional<Deadline> sent_at_;
  std::map<std::string, bool> held_;   // by the crossing's place in the filter
  std::map<std::string, bool> holds_;  // the same with the value that was judged last
};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  int below(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[below(static_cast<int>(values.size()))];
  }

  json number() { return below(2) == 0 ? json(below(7) - 3) : json(below(14) / 2.0 - 3); }

  json value() {
    json state = json::object();
    if (below(8) != 0) state["t"] = below(6) == 0 ? json(nullptr) : number();
    if (below(4) != 0) state["s"] = one_of<json>({"", "x", "y", json::array(), json::array({1}), nullptr});
    return below(10) == 0 ? number() : state;
  }

  json filter(int levels, bool may_limit = true) {
    const int kind = below(levels == 0 ? 4 : 7);
    json parameters = json::object();
    if (below(2) == 0) parameters["field"] = one_of({"t", "s"});
    if (kind == 0) return json::array({"changed", parameters});
    if (kind == 1) return json::array({"non_empty", parameters});
    if (kind == 2 || (kind == 3 && !may_limit)) {
      parameters["value"] = number();
      parameters["comparison"] = one_of({"gt", "gte", "lt", "lte", "eq", "neq"});
      parameters["mode"] = one_of({"level", "crossing"});
      parameters["non_numbers"] = one_of({"pass", "drop"});
      return json::array({"threshold", parameters});
    }
    if (kind == 3) return json::array({"rate_limit", {{"interval", (1 + below(20)) / 1000.0}}});
    if (kind == 4) return json::array({"not", filter(levels - 1, false)});
    json parts = json::array();
    for (int i = 1 + below(levels > 1 ? 2 : 3); i > 0; --i) parts.push_back(filter(levels - 1, may_limit));
    return json::array({kind == 5 ? "and" : "or", parts});
  }

 private:
  std::mt19937_64 random_;
};

/// One schedule. Values that pass are sent, mostly; those that wait are asked about again when it's time, or later.
void run_schedule(std::uint64_t seed) {
  Dice dice(seed);
  const json message = dice.filter(3);
  SCOPED_TRACE("SLUICE_FILTER_SEED=" + std::to_string(seed) + ": " + message.dump());
  Model model(message);
  codec::FilterState state(test::filter_of(message));
  Deadline now(1h);
  json newest = dice.value();
  Deadline asks_again{};  // if that is later than now
  for (int step = 0; step < 60; ++step) {
    now += std::chrono::milliseconds(dice.below(4));
    if (asks_again > now && dice.below(3) == 0) {
      now = asks_again;
    } else if (dice.below(3) != 0) {
      newest = dice.value();
    }
    const auto value = test::value_of(newest);
    const FilterVerdict expected = model.judge(newest, now);
    const FilterVerdict verdict = state.judge(*value, now);
    ASSERT_EQ(verdict.kind, expected.kind) << "step " << step << ": " << newest;
    ASSERT_EQ(verdict.at, expected.at) << "step " << step;
    asks_again = verdict.at;
    ASSERT_EQ(verdict.kind == Kind::later, asks_again > now);
    if (verdict.kind == Kind::pass && dice.below(5) != 0) {
      model.note_sent(newest, now);
      state.note_sent(value, now);
    }
  }
}

TEST(FilterProperty, RandomFiltersPassOverRandomSchedulesWhatAModelPasses) {
  const char* given = std::getenv("SLUICE_FILTER_SEED");
  if (given != nullptr) return run_schedule(std::strtoull(given, nullptr, 10));
  const std::uint64_t first = std::random_device{}();
  std::printf("seeds from %llu\n", static_cast<unsigned long long>(first));
  for (std::uint64_t seed = first; seed < first + 3000 && !HasFailure(); ++seed) run_schedule(seed);
}

TEST(FilterProperty, ARateLimitIsKeptAndEndsWithTheNewestValue) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Dice dice(seed);
  for (int run = 0; run < 200; ++run) {
    const std::chrono::milliseconds interval(1 + dice.below(30));
    codec::FilterState state(codec::Filter::rate_limit(interval));
    Deadline now(1h);
    Deadline next = now;
    int sent = -1;
    FilterVerdict verdict;
    int newest = 0;
    const auto ask = [&] {
      const auto value = codec::PackedValue::of(newest);
      verdict = state.judge(*value, now);
      if (verdict.kind != Kind::pass) return;
      ASSERT_GE(now, next);
      state.note_sent(value, now);
      next = now + interval;
      sent = newest;
    };
    for (int step = 0; step < 50; ++step) {
      now += std::chrono::milliseconds(dice.below(10));
      if (verdict.kind == Kind::later && now >= verdict.at) {
        now = verdict.at;
      } else {
        ++newest;
      }
      ask();
    }
    if (verdict.kind == Kind::later) {
      now = std::max(now, verdict.at);
      ask();
    }
    ASSERT_EQ(sent, newest);
  }
}

}  // namespace
}  // namespace sluice
