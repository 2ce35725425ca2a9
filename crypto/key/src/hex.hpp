// Bytes as lower-case hexadecimal digits; never used on key material.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sluice::crypto {

inline std::string hex(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

}  // namespace sluice::crypto
