#include "field_path.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>

#include "filter_error.hpp"
#include "sluice/base/detail/quoted_text.hpp"

namespace sluice::codec {
namespace {

using msgpack::object;

const object* item(const object& array, std::string_view name) noexcept {
  std::uint32_t index = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool is_index = failure == std::errc() && end == name.data() + name.size();
  return is_index && index < array.via.array.size ? array.via.array.ptr + index : nullptr;
}

const object* member(const object& map, std::string_view name) noexcept {
  const std::span pairs(map.via.map.ptr, map.via.map.size);
  const auto found = std::ranges::find_if(pairs, [name](const msgpack::object_kv& pair) {
    return pair.key.type == msgpack::type::STR &&
           std::string_view(pair.key.via.str.ptr, pair.key.via.str.size) == name;
  });
  return found != pairs.end() ? &found->val : nullptr;
}

}  // namespace

FieldPath::FieldPath(std::string_view text) {
  const auto refuse = [text](const std::string& expected) {
    refuse_filter("field " + base::quoted_text(text, 40) + ": expected " + expected);
  };
  if (text.size() > kMostBytes) refuse("at most " + std::to_string(kMostBytes) + " bytes");
  std::string name;
  const auto end_name = [&] {
    if (name.empty()) refuse("names parted by single dots");
    names_ += static_cast<char>(name.size());
    names_ += name;
    name.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      end_name();
      continue;
    }
    if (text[i] == '\\' && (++i == text.size() || (text[i] != '.' && text[i] != '\\')))
      refuse("a dot or a backslash behind a backslash");
    name += text[i];
  }
  if (!text.empty()) end_name();
}

const object* FieldPath::find(const object& value) const noexcept {
  const object* at = &value;
  for_each_name([&at](std::string_view name) {
    if (at == nullptr) return;
    at = at->type == msgpack::type::MAP     ? member(*at, name)
         : at->type == msgpack::type::ARRAY ? item(*at, name)
                                            : nullptr;
  });
  return at;
}

std::string FieldPath::text() const {
  std::string text;
  for_each_name([&text](std::string_view name) {
    if (!text.empty()) text += '.';
    for (const char c : name) {
      if (c == '.' || c == '\\') text += '\\';
      text += c;
    }
  });
  return text;
}

}  // namespace sluice::codec
