#include "codec_fuzz.hpp"

#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "../codec/records.hpp"
#include "sluice/codec.hpp"

namespace sluice::test {
namespace {

using codec::DecodeOptions;
using codec::errc;

void require(bool holds) {
  if (!holds) std::abort();
}

std::string_view text_of(const msgpack::sbuffer& buffer) {
  return {buffer.data(), buffer.size()};
}

msgpack::sbuffer packed_tree(const msgpack::object& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  return buffer;
}

/// What msgpack-cxx makes of the bytes, if they are one value.
std::optional<msgpack::object_handle> unpacked(std::span<const std::byte> bytes) {
  const std::size_t limit = bytes.size();
  std::size_t offset = 0;
  try {
    auto handle = msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, nullptr,
                                  nullptr, msgpack::unpack_limit(limit, limit, limit, limit, limit, 32));
    if (offset == bytes.size()) return handle;
  } catch (const msgpack::unpack_error&) {
  }
  return std::nullopt;
}

/// Decodes as T; a value that is accepted is the same after another round.
template <typename T>
void decode_as(std::span<const std::byte> bytes, const DecodeOptions& options) {
  codec::Decoder decoder(options);
  try {
    const T value = decoder.decode<T>(bytes);
    const auto again = packed(value);
    require(packed(codec::decode<T>(again)) == again);
  } catch (const error& failure) {
    require(failure.code().category() == codec::category());
  }
}

}  // namespace

bool fuzz_codec(std::span<const std::byte> input) {
  codec::ObjectTree tree;
  const std::error_code fault = tree.parse(input, {.any_timestamp = true});
  const auto theirs = unpacked(input);
  if (!fault) {
    require(theirs && text_of(packed_tree(tree.root())) == text_of(packed_tree(theirs->get())));
  } else if (theirs) {
    require(fault == errc::bad_timestamp || fault == errc::too_deep);
  }
  const DecodeOptions narrow{.max_bytes = 4096, .max_elements = 100, .max_depth = 5, .in_place = true};
  decode_as<Everything>(input, {});
  decode_as<Everything>(input, narrow);
  decode_as<OrderOfNextYear>(input, {});
  decode_as<Named>(input, narrow);
  decode_as<codec::Timestamp>(input, {.any_timestamp = true});
  decode_as<std::chrono::system_clock::time_point>(input, {});
  decode_as<std::map<std::string, std::vector<double>>>(input, {});
  return !fault;
}

}  // namespace sluice::test
