#include "filters_fuzz.hpp"

#include <array>
#include <chrono>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "choices.hpp"
#include "sluice/codec/detail/values_equal.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/filter.hpp"
#include "sluice/codec/filter_state.hpp"
#include "sluice/codec/packed_value.hpp"

namespace sluice::test {
namespace {

using codec::Filter;
using codec::FilterVerdict;
using codec::PackedValue;
using codec::SharedValue;

constexpr std::array<std::string_view, 28> kWords{"and",
                                                  "or",
                                                  "not",
                                                  "(",
                                                  ")",
                                                  "all",
                                                  "changed",
                                                  "changed",
                                                  "nonEmpty",
                                                  "non_empty",
                                                  "threshold value=1",
                                                  "threshold value=-2.5",
                                                  "rateLimit",
                                                  "rate-limit interval=0.000001",
                                                  "custom",
                                                  "field=a",
                                                  "field=a.b",
                                                  "field=0",
                                                  "value=\"3\"",
                                                  "comparison=<",
                                                  "comparison=neq",
                                                  "mode=crossing",
                                                  "non_numbers=drop",
                                                  "nonNumbers=pass",
                                                  "per_second=1e6",
                                                  "interval=0.01",
                                                  "changed field=a",
                                                  "x"};

/// The value that the bytes are, if they are one.
SharedValue value_in(std::span<const std::byte> bytes) {
  try {
    return PackedValue::check(bytes, {.max_depth = codec::kDeepestLevel, .any_timestamp = true});
  } catch (const error&) {
    return nullptr;
  }
}

Filter filter_in(unsigned form, std::span<const std::byte> bytes) {
  if (form == 1) return Filter::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (form == 2) {
    std::string text;
    for (const std::byte byte : bytes)
      text += std::string(kWords[std::to_integer<std::size_t>(byte) % kWords.size()]) + ' ';
    return Filter::parse(text);
  }
  const SharedValue message = value_in(bytes);
  if (message == nullptr) throw error(codec::errc::bad_filter, "no message");
  return Filter::from(message->root());
}

void check_packing(const Filter& filter) {
  const auto packed = filter.packed();
  const auto again = Filter::from(PackedValue(packed).root());
  require(again == filter);
  require(again.packed() == packed);
}

/// What must hold for any two values.
void check_comparison(const PackedValue& a, const PackedValue& b) {
  const bool equal = codec::detail::values_equal(a.root(), b.root());
  require(equal == codec::detail::values_equal(b.root(), a.root()));
  require(codec::detail::values_equal(a.root(), a.root()));
  const auto repacked = PackedValue::of(a.root());  // in the shortest form
  require(codec::detail::values_equal(a.root(), repacked->root()));
  require(codec::detail::values_equal(repacked->root(), b.root()) == equal);
}

void judge_values(const Filter& filter, Choices& choices) {
  codec::FilterState state(filter);
  Deadline now(std::chrono::hours(1));
  SharedValue before = PackedValue::of(0);
  while (!choices.empty()) {
    const unsigned step = choices.byte();
    now += std::chrono::microseconds(step % 128);
    const SharedValue value = value_in(choices.bytes(choices.byte()));
    if (value == nullptr) continue;
    check_comparison(*value, *before);
    before = value;
    const FilterVerdict verdict = state.judge(*value, now);
    if (verdict.kind == FilterVerdict::Kind::drop) continue;
    require(state.judge(*value, now) == verdict);  // nothing has happened
    if (verdict.kind == FilterVerdict::Kind::later) {
      require(verdict.at > now);
    } else if (step < 128) {
      state.note_sent(value, now);
    }
  }
}

}  // namespace

bool fuzz_filters(std::span<const std::byte> input) {
  Choices choices(input);
  const unsigned form = choices.byte() % 3U;
  std::optional<Filter> filter;
  try {
    filter = filter_in(form, choices.bytes(choices.byte()));
  } catch (const error& failure) {
    require(failure.code() == codec::errc::bad_filter);
    return false;
  }
  check_packing(*filter);
  judge_values(*filter, choices);
  return true;
}

}  // namespace sluice::test
