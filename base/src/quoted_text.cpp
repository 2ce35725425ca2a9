#include "sluice/base/detail/quoted_text.hpp"

namespace sluice::base {

std::string quoted_text(std::string_view text, std::size_t max_bytes) {
  static constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string result = "\"";
  for (const char character : text.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte > 0x7e) {
      result += "\\x";
      result += kHexDigits[byte >> 4U];
      result += kHexDigits[byte & 0xfU];
      continue;
    }
    if (character == '"' || character == '\\') result += '\\';
    result += character;
  }
  result += '"';
  if (text.size() > max_bytes) result += "... (" + std::to_string(text.size()) + " bytes)";
  return result;
}

}  // namespace sluice::base
