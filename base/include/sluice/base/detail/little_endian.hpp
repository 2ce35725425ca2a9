// Little-endian numbers in byte arrays, whatever the machine.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#pragma GCC visibility push(default)

namespace sluice::base {

template <std::unsigned_integral Number>
void store_le(std::span<std::byte> bytes, std::size_t offset, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    bytes[offset + i] = static_cast<std::byte>((std::uint64_t{value} >> (8 * i)) & 0xffU);
  }
}

template <std::unsigned_integral Number>
Number load_le(std::span<const std::byte> bytes, std::size_t offset) {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value = static_cast<Number>(value | (static_cast<Number>(bytes[offset + i]) << (8 * i)));
  }
  return value;
}

}  // namespace sluice::base

#pragma GCC visibility pop
