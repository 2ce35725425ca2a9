// Values of any shape, and edits of them, made from somebody's choices: random numbers, or a fuzzer's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <msgpack.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sluice/codec/timestamp.hpp"

namespace sluice::test {

struct AnyValue;
struct AnyPair;
using AnyList = std::vector<AnyValue>;
using AnyPairs = std::vector<AnyPair>;  // a map: keys may come twice

struct AnyValue {
  std::variant<std::monostate, bool, std::uint64_t, std::int64_t, double, std::string, std::vector<char>,
               codec::Timestamp, AnyList, AnyPairs>
      held;

  template <typename Packer>
  void msgpack_pack(Packer& packer) const;
};

struct AnyPair {
  AnyValue key;
  AnyValue value;
};

template <typename Packer>
void AnyValue::msgpack_pack(Packer& packer) const {
  if (std::holds_alternative<std::monostate>(held)) {
    packer.pack_nil();
  } else if (const auto* pairs = std::get_if<AnyPairs>(&held)) {
    packer.pack_map(static_cast<std::uint32_t>(pairs->size()));
    for (const auto& pair : *pairs) {
      packer.pack(pair.key);
      packer.pack(pair.value);
    }
  } else {
    std::visit(
        [&](const auto& value) {
          using Type = std::remove_cvref_t<decltype(value)>;
          if constexpr (!std::is_same_v<Type, std::monostate> && !std::is_same_v<Type, AnyPairs>)
            packer.pack(value);
        },
        held);
  }
}

/// Choose: a callable whose choose(n) is a number below n.
template <typename Choose>
AnyValue any_scalar(Choose& choose) {
  const std::uint64_t number = std::uint64_t{1} << choose(64U);
  switch (choose(9U)) {
    case 0:
      return {};
    case 1:
      return {choose(2U) == 1};
    case 2:
      return {number - choose(2U)};
    case 3:
      return {static_cast<std::int64_t>(~number + choose(2U))};
    case 4:
      return {static_cast<double>(choose(256U)) / 8};
    case 5:
      return {std::string(choose(8U) == 0 ? choose(256U) : choose(6U), static_cast<char>('a' + choose(3U)))};
    case 6:
      return {std::vector<char>(choose(6U), static_cast<char>(choose(256U)))};
    case 7:
      return {codec::Timestamp{static_cast<std::int64_t>(choose(256U)), choose(2U)}};
    default:
      return {std::uint64_t{choose(4U)}};  // often the same
  }
}

template <typename Choose>
AnyValue any_value(Choose& choose, unsigned deepest = 4) {
  const auto kind = deepest == 0 ? 0U : choose(4U);
  if (kind < 2) return any_scalar(choose);
  const auto size = choose(choose(8U) == 0 ? 40U : 6U);
  if (kind == 2) {
    AnyList list(size);
    for (AnyValue& item : list) item = any_value(choose, deepest - 1);
    return {std::move(list)};
  }
  AnyPairs pairs(size);
  for (auto& pair : pairs) {
    pair = {choose(4U) == 0 ? any_scalar(choose) : AnyValue{std::string(1, static_cast<char>(choose(200U)))},
            any_value(choose, deepest - 1)};
  }
  return {std::move(pairs)};
}

/// A value of one of the entries, for what edits have in common.
inline AnyValue& value_of(AnyValue& item) {
  return item;
}
inline AnyValue& value_of(AnyPair& pair) {
  return pair.value;
}

template <typename Choose>
void edit(AnyValue& value, Choose& choose);

template <typename Entry, typename Choose>
void edit_entries(std::vector<Entry>& entries, Choose& choose) {
  const auto at = static_cast<std::ptrdiff_t>(choose(static_cast<unsigned>(entries.size()) + 1));
  const auto place = entries.begin() + at;
  const bool end = place == entries.end();
  switch (choose(6U)) {
    case 0: {
      Entry added{};
      if constexpr (!std::is_same_v<Entry, AnyValue>) added.key = any_scalar(choose);
      value_of(added) = any_value(choose, 2);
      entries.insert(place, std::move(added));
      break;
    }
    case 1:
      if (!end) entries.erase(place);
      break;
    case 2:
      if (!end) entries.insert(place, Entry(*place));
      break;
    case 3:
      if (!end) std::swap(*place, entries[choose(static_cast<unsigned>(entries.size()))]);
      break;
    default:
      if (!end) edit(value_of(*place), choose);
  }
}

/// Changes something in it.
template <typename Choose>
void edit(AnyValue& value, Choose& choose) {
  auto* const list = std::get_if<AnyList>(&value.held);
  auto* const pairs = std::get_if<AnyPairs>(&value.held);
  if ((list == nullptr && pairs == nullptr) || choose(16U) == 0) {
    value = any_value(choose, 2);
  } else if (list != nullptr) {
    edit_entries(*list, choose);
  } else {
    edit_entries(*pairs, choose);
  }
}

}  // namespace sluice::test
