// JSON text and msgpack values, each as the other.
//
//   msgpack                        JSON
//   nil, boolean, number, array    the same; a float has a point or an exponent
//   string                         string; {"$string": "BASE64"} if it isn't UTF-8
//   map                            object, if its keys are different strings; else {"$map": [[KEY, VALUE], ...]}
//   binary                         {"$binary": "BASE64"}
//   NaN, infinities                {"$float": "NaN"}, {"$float": "Infinity"}, {"$float": "-Infinity"}
//   timestamp                      {"$timestamp": "2026-05-04T03:02:01.5Z"}; an extension outside of the years 0 to 9999
//   other extensions               {"$ext": [TYPE, "BASE64"]}
//
// Nothing is lost on the way there and back, except the order of an object's keys (they are sorted) and the width of
// numbers. A map that would look like one of these objects is a "$map".
#pragma once

#include <cstddef>
#include <limits>
#include <msgpack.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/codec/decode_options.hpp"

namespace sluice::tools {

/// What is taken from the other side and sent to it.
inline constexpr codec::DecodeOptions kJsonLimits{.max_bytes = std::size_t{256} << 20, .any_timestamp = true};

/// A value that was decoded within kJsonLimits.
nlohmann::json json_of(const msgpack::object& value);

/// Throws std::runtime_error, with words that say why, if the value can't be packed within kJsonLimits, or if one of
/// the objects above isn't filled in as it should be.
std::vector<std::byte> packed_of(const nlohmann::json& value);

/// One JSON value. Throws std::runtime_error with words that say what is wrong: it is no JSON, a key comes twice, an
/// integer has more than 64 bits, or it is nested too deep for packed_of().
nlohmann::json parse_json(std::string_view text);

/// On one line, without its end. `for_terminal`: what isn't ASCII is escaped, since a terminal obeys some of it.
std::string line_of(const nlohmann::json& value, bool for_terminal);

}  // namespace sluice::tools
