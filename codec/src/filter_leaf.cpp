#include "filter_leaf.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <compare>
#include <locale>
#include <optional>
#include <sstream>
#include <utility>

#include "filter_error.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/codec/detail/values_equal.hpp"
#include "sluice/codec/object_tree.hpp"

namespace sluice::codec {
namespace {

constexpr std::size_t kShownBytes = 40;  // of what came, in an error

template <typename Value, std::size_t kCount>
using Names = std::array<std::pair<std::string_view, Value>, kCount>;

// The first name of a value is the one that it is packed with.
constexpr Names<Comparison, 12> kComparisons{{{"gt", Comparison::gt},
                                              {">", Comparison::gt},
                                              {"gte", Comparison::gte},
                                              {">=", Comparison::gte},
                                              {"lt", Comparison::lt},
                                              {"<", Comparison::lt},
                                              {"lte", Comparison::lte},
                                              {"<=", Comparison::lte},
                                              {"eq", Comparison::eq},
                                              {"==", Comparison::eq},
                                              {"neq", Comparison::neq},
                                              {"!=", Comparison::neq}}};
constexpr Names<ThresholdMode, 2> kModes{
    {{"level", ThresholdMode::level}, {"crossing", ThresholdMode::crossing}}};
constexpr Names<NonNumbers, 2> kNonNumbers{{{"pass", NonNumbers::pass}, {"drop", NonNumbers::drop}}};

template <typename Value, std::size_t kCount>
std::string_view first_name(const Names<Value, kCount>& names, Value value) noexcept {
  return std::ranges::find(names, value, &std::pair<std::string_view, Value>::second)->first;
}

/// nonEmpty and non-empty as non_empty.
std::string snake_case(std::string_view name) {
  constexpr std::size_t kLongest = 32;  // longer than any
  std::string snake;
  for (const char c : name.substr(0, kLongest)) {
    const bool is_capital = c >= 'A' && c <= 'Z';
    if (is_capital) snake += '_';
    snake += is_capital ? static_cast<char>(c - 'A' + 'a') : c == '-' ? '_' : c;
  }
  return snake;
}

/// What came, in words.
std::string shown(const msgpack::object& value) {
  if (value.type == msgpack::type::STR)
    return base::quoted_text({value.via.str.ptr, value.via.str.size}, kShownBytes);
  if (value.type == msgpack::type::POSITIVE_INTEGER) return std::to_string(value.via.u64);
  if (value.type == msgpack::type::NEGATIVE_INTEGER) return std::to_string(value.via.i64);
  const bool is_float = value.type == msgpack::type::FLOAT32 || value.type == msgpack::type::FLOAT64;
  return is_float ? text_of(value.via.f64) : describe(value);
}

/// The number that a text is, all of it. Nothing: it is none.
std::optional<msgpack::object> number_in(std::string_view text) {
  std::int64_t whole = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (failure == std::errc() && end == text.data() + text.size()) return msgpack::object(whole);
  if (text.size() > kShownBytes) return std::nullopt;
  std::istringstream in{std::string(text)};  // (from_chars of a float isn't in every standard library)
  in.imbue(std::locale::classic());
  double number = 0;
  in >> std::noskipws >> number;
  if (in.fail() || !in.eof()) return std::nullopt;
  return msgpack::object(number);
}

/// The parameters of one filter.
class Parameters {
 public:
  Parameters(std::string_view filter, std::span<const std::string_view> valid,
             std::span<const FilterParameter> given)
      : about_("filter " + std::string(filter)) {
    std::string list;
    for (const auto name : valid) list += (list.empty() ? "" : ", ") + std::string(name);
    for (const FilterParameter& parameter : given) {
      const std::string name = snake_case(parameter.name);
      const auto known = std::ranges::find(valid, name);
      if (known == valid.end()) {
        refuse_filter(about_ + ": expected " +
                      (list.empty() ? "no parameters" : "parameters of these: " + list) + ", got " +
                      base::quoted_text(parameter.name, kShownBytes));
      }
      if (find(*known) != nullptr) refuse_filter(about_ + ": expected one " + name + ", got two");
      given_.emplace_back(*known, parameter.value);
    }
  }

  /// Null: it wasn't given.
  const msgpack::object* find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(given_, name, &std::pair<std::string_view, msgpack::object>::first);
    return found != given_.end() ? &found->second : nullptr;
  }

  [[noreturn]] void refuse(std::string_view name, const std::string& expected, const std::string& got) const {
    refuse_filter(about_ + ": " + std::string(name) + ": expected " + expected + ", got " + got);
  }

  std::string_view field() const {
    const auto* const value = find("field");
    if (value == nullptr) return {};
    if (value->type != msgpack::type::STR || value->via.str.size == 0)
      refuse("field", "a path of names parted by dots", shown(*value));
    return {value->via.str.ptr, value->via.str.size};
  }

  double number(std::string_view name) const {
    const auto* const value = find(name);
    if (value == nullptr) refuse(name, "a number", "nothing");
    std::optional<msgpack::object> number = *value;
    if (value->type == msgpack::type::STR) number = number_in({value->via.str.ptr, value->via.str.size});
    if (!number || !detail::is_number(*number)) refuse(name, "a number", shown(*value));
    const auto result = number->as<double>();
    if (std::is_neq(detail::order_of_scalars(*number, msgpack::object(result))))
      refuse(name, "an integer that a double holds exactly", shown(*value));
    return result;
  }

  template <typename Value, std::size_t kCount>
  Value choice(std::string_view name, const Names<Value, kCount>& names, Value otherwise) const {
    const auto* const value = find(name);
    if (value == nullptr) return otherwise;
    std::string list;
    for (const auto& [known, meaning] : names) {
      if (value->type == msgpack::type::STR &&
          snake_case({value->via.str.ptr, value->via.str.size}) == known) {
        return meaning;
      }
      list += (list.empty() ? "" : ", ") + std::string(known);
    }
    refuse(name, "one of " + list, shown(*value));
  }

 private:
  std::string about_;
  std::vector<std::pair<std::string_view, msgpack::object>> given_;
};

Filter make_all(const Parameters& /*parameters*/) {
  return {};
}
Filter make_changed(const Parameters& parameters) {
  return Filter::changed(parameters.field());
}
Filter make_non_empty(const Parameters& parameters) {
  return Filter::non_empty(parameters.field());
}
Filter make_threshold(const Parameters& parameters) {
  return Filter::threshold(parameters.number("value"),
                           {.field = parameters.field(),
                            .comparison = parameters.choice("comparison", kComparisons, Comparison::gt),
                            .mode = parameters.choice("mode", kModes, ThresholdMode::level),
                            .non_numbers = parameters.choice("non_numbers", kNonNumbers, NonNumbers::pass)});
}

Filter make_rate_limit(const Parameters& parameters) {
  if ((parameters.find("per_second") != nullptr) == (parameters.find("interval") != nullptr))
    refuse_filter("filter rate_limit: expected one of per_second, interval");
  if (parameters.find("per_second") != nullptr) return Filter::rate_limit(parameters.number("per_second"));
  const double seconds = parameters.number("interval");
  constexpr double kBeyondADay = 86'401;
  if (!(seconds > 0 && seconds < kBeyondADay))
    parameters.refuse("interval", "seconds, 1e-9 to 86400", shown(*parameters.find("interval")));
  return Filter::rate_limit(std::chrono::nanoseconds(std::llround(seconds * 1e9)));
}

struct Leaf {
  std::string_view name;
  Filter (*make)(const Parameters&);
  std::array<std::string_view, 5> parameters;  // empty behind the last
};
constexpr std::array<Leaf, 5> kLeaves{
    {{"all", make_all, {}},
     {"changed", make_changed, {"field"}},
     {"non_empty", make_non_empty, {"field"}},
     {"threshold", make_threshold, {"value", "field", "comparison", "mode", "non_numbers"}},
     {"rate_limit", make_rate_limit, {"per_second", "interval"}}}};
constexpr std::array<std::string_view, 3> kCombinations{"and", "or", "not"};

}  // namespace

bool is_combination(std::string_view name) noexcept {
  return std::ranges::find(kCombinations, name) != kCombinations.end();
}

Filter leaf_named(std::string_view name, std::span<const FilterParameter> parameters) {
  const std::string wanted = snake_case(name);
  const auto leaf = std::ranges::find(kLeaves, wanted, &Leaf::name);
  if (leaf == kLeaves.end()) {
    std::string list;
    for (const Leaf& known : kLeaves) list += std::string(known.name) + ", ";
    refuse_filter("filter: expected one of " + list + "and, or, not, got " +
                  base::quoted_text(name, kShownBytes) +
                  (wanted == "custom" ? ", which would need code of the observer's here" : ""));
  }
  const auto count = std::ranges::find(leaf->parameters, std::string_view()) - leaf->parameters.begin();
  return leaf->make(
      {leaf->name, std::span(leaf->parameters).first(static_cast<std::size_t>(count)), parameters});
}

std::string_view name_of(Comparison comparison) noexcept {
  return first_name(kComparisons, comparison);
}
std::string_view name_of(ThresholdMode mode) noexcept {
  return first_name(kModes, mode);
}
std::string_view name_of(NonNumbers non_numbers) noexcept {
  return first_name(kNonNumbers, non_numbers);
}

}  // namespace sluice::codec
