#include "delta_fuzz.hpp"

#include <vector>

#include "../codec/random_values.hpp"
#include "../codec/records.hpp"
#include "choices.hpp"
#include "sluice/codec.hpp"

namespace sluice::test {
namespace {

using codec::Applied;
using codec::DecodeOptions;
using codec::DeltaStreamApplier;
using codec::StreamForm;

/// The value's bytes in msgpack's shortest forms. None: they are no value.
std::vector<std::byte> shortest(std::span<const std::byte> bytes, const DecodeOptions& limits = {}) {
  DeltaStreamApplier applier(limits);
  try {
    require(applier.apply(StreamForm::full, 0, 0, bytes) == Applied::taken);
  } catch (const error&) {
    return {};
  }
  return applier.pack();
}

/// Of the errors that a bad delta may end in, any.
bool applies(DeltaStreamApplier& applier, std::uint64_t sequence, std::span<const std::byte> delta) {
  try {
    require(applier.apply(StreamForm::delta, sequence, sequence + 1, delta) == Applied::taken);
    return true;
  } catch (const error& failure) {
    require(failure.code().category() == codec::category());
    return false;
  }
}

bool apply_anything(Choices choices) {
  auto choose = [&](unsigned below) { return choices.byte() % below; };
  const auto base = packed(any_value(choose));
  const DecodeOptions limits{.max_bytes = base.size() + 64, .max_elements = 1000, .max_depth = 6};
  DeltaStreamApplier applier(limits);
  try {
    require(applier.apply(StreamForm::full, 0, 0, base) == Applied::taken);
  } catch (const error&) {
    return false;
  }
  bool any = false;
  for (std::uint64_t sequence = 0; !choices.empty();) {
    const auto before = applier.pack();
    const bool applied = applies(applier, sequence, choices.bytes(choices.byte()));
    const auto after = applier.pack();
    require(applied || before == after);
    require(shortest(after, limits) == after);
    if (applied) ++sequence;
    any |= applied;
  }
  return any;
}

bool apply_delta_between(std::span<const std::byte> from, std::span<const std::byte> to) {
  const auto delta = codec::make_delta(from, to);
  const auto wanted = shortest(to);
  if (!delta || wanted.empty() || shortest(from).empty()) return false;
  require(delta->size() < to.size());
  require(codec::apply_delta(from, *delta) == wanted);
  return true;
}

bool follow_edits(Choices choices) {
  auto choose = [&](unsigned below) { return choices.byte() % below; };
  AnyValue value = any_value(choose);
  codec::DeltaStreamManager manager;
  DeltaStreamApplier applier;
  bool any = false;
  for (std::uint64_t sequence = 1; sequence == 1 || !choices.empty(); ++sequence) {
    const auto next = codec::PackedValue::of(value);
    if (const auto item = manager.encode(next, sequence)) {
      require(applier.apply(item->form, item->base, sequence, item->bytes()) == Applied::taken);
      any |= item->form == StreamForm::delta;
    }
    const auto bytes = next->bytes();
    require(applier.pack() == std::vector<std::byte>(bytes.begin(), bytes.end()));
    for (unsigned edits = 1 + choose(4); edits > 0; --edits) edit(value, choose);
  }
  return any;
}

}  // namespace

bool fuzz_delta(std::span<const std::byte> input) {
  Choices choices(input);
  switch (choices.byte() % 3) {
    case 0:
      return apply_anything(choices);
    case 1: {
      const auto from = choices.bytes(choices.byte());
      return apply_delta_between(from, choices.bytes(input.size()));
    }
    default:
      return follow_edits(choices);
  }
}

}  // namespace sluice::test
