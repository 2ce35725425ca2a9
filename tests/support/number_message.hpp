// Messages of eight bytes that carry a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "sluice/ipc/port/port.hpp"

namespace sluice::test {

inline std::span<const std::byte> bytes_of(const std::uint64_t& number) {
  return std::as_bytes(std::span(&number, 1));
}

/// 0 where the message isn't one of these.
inline std::uint64_t number_in(const Message& message) {
  std::uint64_t number = 0;
  if (message.bytes().size() == sizeof number) std::memcpy(&number, message.bytes().data(), sizeof number);
  return number;
}

}  // namespace sluice::test
