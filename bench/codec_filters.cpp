#include "codec_filters.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <msgpack.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "sluice/codec/filter.hpp"
#include "sluice/codec/filter_state.hpp"
#include "sluice/codec/packed_value.hpp"
#include "timed_work.hpp"

namespace sluice::bench {
namespace {

using codec::Filter;
using codec::FilterVerdict;
using codec::PackedValue;
using codec::SharedValue;

/// A state of 20 fields.
struct Machine {
  std::string name = "press 7", hall = "north", maker = "Miller & Sons", shift = "early", note;
  std::uint64_t serial = 815, made = 2019, parts = 123'456, rejects = 78, starts = 910, stops = 909,
                alarms = 3, hours = 40'321;
  double temperature = 41.5, pressure = 7.25, speed = 1.5, load = 0.75, voltage = 398.5;
  bool runs = true, locked = false;
  MSGPACK_DEFINE_MAP(name, hall, maker, shift, note, serial, made, parts, rejects, starts, stops, alarms,
                     hours, temperature, pressure, speed, load, voltage, runs, locked)
};

auto packing() {
  return [] {
    return [machine = Machine()](std::uint64_t i) mutable {
      machine.parts = i;
      return PackedValue::of(machine)->bytes().empty() ? i + 1 : i;
    };
  };
}

void expect_dropped(const FilterVerdict& verdict) {
  if (verdict.kind != FilterVerdict::Kind::drop)
    throw std::runtime_error("a filter passes what it should drop");
}

/// A new value each time: it includes a copy of the bytes.
auto dropping(const Filter& filter) {
  return [filter] {
    const SharedValue sent = PackedValue::of(Machine());
    codec::FilterState state(filter);
    state.note_sent(sent, {});
    return [sent, state](std::uint64_t i) mutable {
      const PackedValue value(std::vector<std::byte>(sent->bytes().begin(), sent->bytes().end()));
      expect_dropped(state.judge(value, {}));
      return i;
    };
  };
}

}  // namespace

void add_filters(Suite& suite) {
  const Filter changed = Filter::changed();
  const Filter threshold = Filter::threshold(60, {.field = "temperature"});
  const Filter non_empty = Filter::non_empty("note");
  suite.add(
      {"filters",
       PackedValue::of(Machine())->bytes().size(),
       {timed("pack", "", packing()), timed("changed", "pack", dropping(changed)),
        timed("threshold", "pack", dropping(threshold)), timed("non_empty", "pack", dropping(non_empty))}});
}

}  // namespace sluice::bench
