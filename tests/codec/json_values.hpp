// msgpack values, written as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "sluice/codec/filter.hpp"
#include "sluice/codec/packed_value.hpp"

namespace sluice::test {

inline codec::SharedValue value_of(const nlohmann::json& json) {
  const std::vector<std::uint8_t> bytes = nlohmann::json::to_msgpack(json);
  const auto view = std::as_bytes(std::span(bytes));
  return std::make_shared<const codec::PackedValue>(std::vector<std::byte>(view.begin(), view.end()));
}

inline codec::SharedValue json(std::string_view text) {
  return value_of(nlohmann::json::parse(text));
}

/// A filter from a message.
inline codec::Filter filter_of(const nlohmann::json& message) {
  return codec::Filter::from(value_of(message)->root());
}

}  // namespace sluice::test
