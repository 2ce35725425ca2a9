// The values of a tree: their children, how much they are, their bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <span>

namespace sluice::codec {

/// A container's children: a map's keys and values take turns.
inline std::span<msgpack::object> children_of(const msgpack::object& value) noexcept {
  if (value.type == msgpack::type::ARRAY) return {value.via.array.ptr, value.via.array.size};
  if (value.type != msgpack::type::MAP) return {};
  return {reinterpret_cast<msgpack::object*>(value.via.map.ptr), std::size_t{2} * value.via.map.size};
}

/// How many values it is, itself among them.
inline std::size_t elements_of(const msgpack::object& value) noexcept {
  std::size_t elements = 1;
  for (const auto& child : children_of(value)) elements += elements_of(child);
  return elements;
}

/// How many containers within each other it is.
inline unsigned depth_of(const msgpack::object& value) noexcept {
  if (value.type != msgpack::type::ARRAY && value.type != msgpack::type::MAP) return 0;
  unsigned deepest = 0;
  for (const auto& child : children_of(value)) deepest = std::max(deepest, depth_of(child));
  return deepest + 1;
}

/// Writes a number behind its tag, big-endian.
template <typename Number, typename Stream>
void write_number(Stream& stream, std::uint8_t tag, Number number) {
  char bytes[1 + sizeof(Number)] = {static_cast<char>(tag)};
  for (std::size_t i = sizeof(Number); i > 0; --i, number >>= 8U)
    bytes[i] = static_cast<char>(number & 0xffU);
  stream.write(bytes, sizeof bytes);
}

/// Packs it in the shortest forms. (msgpack-cxx makes integers of floats that are whole.)
template <typename Stream>
void pack_tree(Stream& stream, const msgpack::object& value) {
  msgpack::packer<Stream> packer(stream);
  switch (value.type) {
    case msgpack::type::FLOAT32:
      return write_number(stream, 0xca, std::bit_cast<std::uint32_t>(static_cast<float>(value.via.f64)));
    case msgpack::type::FLOAT64:
      return write_number(stream, 0xcb, std::bit_cast<std::uint64_t>(value.via.f64));
    case msgpack::type::ARRAY:
      packer.pack_array(value.via.array.size);
      break;
    case msgpack::type::MAP:
      packer.pack_map(value.via.map.size);
      break;
    default:
      packer.pack(value);
  }
  for (const auto& child : children_of(value)) pack_tree(stream, child);
}

}  // namespace sluice::codec
