#include "sluice/base/detail/quoted_text.hpp"

#include <algorithm>
#include <array>

namespace sluice::base {
namespace {

/// One character of UTF-8.
struct Character {
  char32_t code;
  std::size_t bytes;  // 0: not UTF-8
};

Character first_character(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) -> char32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  if (byte(0) < 0x80) return {byte(0), 1};
  struct Form {
    std::size_t bytes;
    char32_t lead_mask, lead, least;
  };
  constexpr std::array kForms{Form{2, 0xe0, 0xc0, 0x80}, Form{3, 0xf0, 0xe0, 0x800},
                              Form{4, 0xf8, 0xf0, 0x10000}};
  for (const Form& form : kForms) {
    if ((byte(0) & form.lead_mask) != form.lead) continue;
    char32_t code = byte(0) & ~form.lead_mask;
    for (std::size_t i = 1; i < form.bytes; ++i) {
      if ((byte(i) & 0xc0U) != 0x80) return {0, 0};
      code = (code << 6U) | (byte(i) & 0x3fU);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < form.least || code > 0x10ffff || surrogate) return {0, 0};
    return {code, form.bytes};
  }
  return {0, 0};
}

bool is_printable(char32_t code) noexcept {
  struct Range {
    char32_t first, last;
  };
  constexpr std::array kRefused{
      Range{0x00, 0x1f},       Range{0x7f, 0x9f},     Range{0xad, 0xad},      // controls, soft hyphen
      Range{0x61c, 0x61c},     Range{0x180e, 0x180e},                         // direction mark, no width
      Range{0x200b, 0x200f},   Range{0x2028, 0x202e},                         // ... line ends, overrides
      Range{0x2060, 0x206f},   Range{0xfeff, 0xfeff}, Range{0xfff9, 0xfffb},  // ... isolates, annotations
      Range{0xe0000, 0xe0fff},                                                // tags
  };
  return std::ranges::none_of(
      kRefused, [code](const Range& range) { return code >= range.first && code <= range.last; });
}

std::string escaped(std::string_view text, std::size_t max_bytes, std::string_view also) {
  static constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string result;
  std::size_t at = 0;
  while (at < std::min(text.size(), max_bytes)) {
    const Character character = first_character(text.substr(at));
    if (character.bytes != 0 && is_printable(character.code)) {
      if (also.find(text[at]) != std::string_view::npos) result += '\\';
      result += text.substr(at, character.bytes);
    } else {
      for (const char byte : text.substr(at, std::max<std::size_t>(character.bytes, 1))) {
        result += "\\x";
        result += kHexDigits[static_cast<unsigned char>(byte) >> 4U];
        result += kHexDigits[static_cast<unsigned char>(byte) & 0xfU];
      }
    }
    at += std::max<std::size_t>(character.bytes, 1);
  }
  return result;
}

std::string what_was_cut(std::string_view text, std::size_t max_bytes) {
  return text.size() > max_bytes ? "... (" + std::to_string(text.size()) + " bytes)" : "";
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  return escaped(text, max_bytes, "") + what_was_cut(text, max_bytes);
}

std::string quoted_text(std::string_view text, std::size_t max_bytes) {
  return '"' + escaped(text, max_bytes, "\"\\") + '"' + what_was_cut(text, max_bytes);
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t bytes = first_character(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace sluice::base
