#include "sluice/codec/filter.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "filter_error.hpp"
#include "filter_spec.hpp"

namespace sluice::codec {
namespace {

using detail::FilterNode;
using detail::FilterSpec;
using detail::spec_of;
using std::chrono::nanoseconds;
using Kind = FilterNode::Kind;

constexpr nanoseconds kLongestInterval = std::chrono::hours(24);

Filter leaf(FilterNode node) {
  FilterSpec spec;
  spec.compares = node.kind == Kind::changed;
  spec.crosses = node.is_crossing();
  spec.limits = node.kind == Kind::rate_limit;
  spec.nodes.push_back(std::move(node));
  return Filter(std::make_shared<const FilterSpec>(std::move(spec)));
}

void append(FilterSpec& to, const FilterSpec& part) {
  FilterNode& root = to.nodes.front();
  // (a and b) and c is a and b and c.
  const bool same = part.nodes.front().kind == root.kind && root.kind != Kind::none_of;
  to.nodes.insert(to.nodes.end(), part.nodes.begin() + (same ? 1 : 0), part.nodes.end());
  to.depth = std::max(to.depth, same ? part.depth : part.depth + 1);
  to.compares |= part.compares;
  to.crosses |= part.crosses;
  to.limits |= part.limits;
  if (to.nodes.size() > kMostFilterNodes) {
    refuse_filter("filter: expected at most " + std::to_string(kMostFilterNodes) +
                  " filters in it, combinations included, got " + std::to_string(to.nodes.size()));
  }
  if (to.depth > kDeepestFilter)
    refuse_filter("filter: expected combinations at most " + std::to_string(kDeepestFilter) + " deep");
  root.nodes = static_cast<std::uint8_t>(to.nodes.size());
}

Filter combined(Kind kind, std::initializer_list<const Filter*> parts) {
  FilterSpec spec;
  std::size_t nodes = 1;
  for (const Filter* part : parts) nodes += spec_of(*part).nodes.size();
  spec.nodes.reserve(nodes);
  spec.nodes.push_back({.kind = kind});
  for (const Filter* part : parts) append(spec, spec_of(*part));
  return Filter(std::make_shared<const FilterSpec>(std::move(spec)));
}

}  // namespace

const FilterSpec& detail::spec_of(const Filter& filter) {
  static const Filter everything = leaf({});
  return filter.spec() != nullptr ? *filter.spec() : *everything.spec();
}

Filter Filter::changed(std::string_view field) {
  return leaf({.kind = Kind::changed, .field = FieldPath(field)});
}

Filter Filter::non_empty(std::string_view field) {
  return leaf({.kind = Kind::non_empty, .field = FieldPath(field)});
}

Filter Filter::threshold(double value, const ThresholdOptions& options) {
  if (!std::isfinite(value))
    refuse_filter("filter threshold: value: expected a finite number, got " + text_of(value));
  return leaf({.kind = Kind::threshold,
               .field = FieldPath(options.field),
               .comparison = options.comparison,
               .mode = options.mode,
               .non_numbers = options.non_numbers,
               .value = value});
}

Filter Filter::rate_limit(Duration interval) {
  if (interval < nanoseconds(1) || interval > kLongestInterval) {
    refuse_filter("filter rate_limit: interval: expected 1 ns to 24 h, got " +
                  text_of(static_cast<double>(interval.count()) / 1e9) + " s");
  }
  return leaf({.kind = Kind::rate_limit, .interval = interval});
}

Filter Filter::rate_limit(double per_second) {
  constexpr double kLowest = 1e9 / static_cast<double>(kLongestInterval.count());
  if (!(per_second >= kLowest && per_second <= 1e9)) {
    refuse_filter("filter rate_limit: per_second: expected 1/86400 (one a day) to 1e9, got " +
                  text_of(per_second));
  }
  const nanoseconds interval(static_cast<std::int64_t>(std::ceil(1e9 / per_second)));
  return rate_limit(std::min(interval, kLongestInterval));
}

bool operator==(const Filter& a, const Filter& b) {
  return a.spec_ == b.spec_ || spec_of(a).nodes == spec_of(b).nodes;
}

Filter operator&&(const Filter& a, const Filter& b) {
  return combined(Kind::all_of, {&a, &b});
}

Filter operator||(const Filter& a, const Filter& b) {
  return combined(Kind::any_of, {&a, &b});
}

Filter operator!(const Filter& a) {
  if (spec_of(a).limits)
    refuse_filter("filter not: expected no rate_limit in it, since the newest value would be lost");
  return combined(Kind::none_of, {&a});
}

}  // namespace sluice::codec
