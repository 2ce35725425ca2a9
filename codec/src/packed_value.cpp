#include "sluice/codec/packed_value.hpp"

#include <limits>

#include "fault_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::codec {
namespace {

void parse(ObjectTree& tree, std::span<const std::byte> bytes, const DecodeOptions& limits) {
  const std::error_code fault = tree.parse(bytes, limits);
  if (fault) throw error(fault, detail::fault_text(fault, bytes.size(), tree.at(), limits));
}

}  // namespace

SharedValue PackedValue::check(std::span<const std::byte> bytes, const DecodeOptions& limits) {
  auto value = std::make_shared<PackedValue>(std::vector<std::byte>(bytes.begin(), bytes.end()));
  std::call_once(value->parsed_, [&] { parse(value->tree_, value->bytes_, limits); });
  return value;
}

const msgpack::object& PackedValue::root() const {
  std::call_once(parsed_, [this] {
    constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
    parse(tree_, bytes_,
          {.max_bytes = kAny, .max_elements = kAny, .max_depth = kDeepestLevel, .any_timestamp = true});
  });
  return tree_.root();
}

}  // namespace sluice::codec
