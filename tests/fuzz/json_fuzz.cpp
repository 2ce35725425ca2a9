#include "json_fuzz.hpp"

#include <algorithm>
#include <msgpack.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "choices.hpp"
#include "json_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/values_equal.hpp"

namespace sluice::test {
namespace {

/// The packed value as one line of JSON, as which it is packed again.
void check_there_and_back(std::span<const std::byte> packed) {
  codec::Decoder decoder(tools::kJsonLimits);
  const auto value = decoder.decode<msgpack::object>(packed);
  const nlohmann::json json = tools::json_of(value);
  for (const bool for_terminal : {false, true}) {
    const std::string line = tools::line_of(json, for_terminal);
    require(line.find('\n') == std::string::npos);
    if (for_terminal) require(std::ranges::all_of(line, [](char c) { return c >= ' ' && c <= '~'; }));
    require(tools::parse_json(line) == json);
  }
  codec::Decoder other(tools::kJsonLimits);
  const auto again = tools::packed_of(json);
  require(codec::detail::values_equal(value, other.decode<msgpack::object>(again)));
}

}  // namespace

bool fuzz_json(std::span<const std::byte> input) {
  Choices choices(input);
  const bool is_text = choices.byte() % 2 == 0;
  const auto rest = choices.bytes(input.size());
  std::vector<std::byte> packed(rest.begin(), rest.end());
  try {
    if (is_text)
      packed = tools::packed_of(tools::parse_json({reinterpret_cast<const char*>(rest.data()), rest.size()}));
    codec::Decoder(tools::kJsonLimits).decode<msgpack::object>(packed);
  } catch (const std::runtime_error&) {  // sluice::error is one
    return false;
  }
  check_there_and_back(packed);
  return true;
}

}  // namespace sluice::test
