#include "field_path.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>
#include <utility>

#include "filter_error.hpp"
#include "packed_walk.hpp"
#include "sluice/base/detail/quoted_text.hpp"

namespace sluice::codec {
namespace {

using msgpack::object;

/// No array has an item of the index that it gives for what is no index.
std::uint64_t index_in(std::string_view name) noexcept {
  std::uint32_t index = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), index);
  return failure == std::errc() && end == name.data() + name.size() ? index : ~std::uint64_t{0};
}

const object* item(const object& array, std::string_view name) noexcept {
  const std::uint64_t index = index_in(name);
  return index < array.via.array.size ? array.via.array.ptr + index : nullptr;
}

/// The next value; `next` goes on behind it. Empty if there is none.
std::span<const std::byte> take_value(const std::byte*& next, const std::byte* end) noexcept {
  const std::byte* const behind = skip_value(next, end);
  if (behind == nullptr) return {};
  return {std::exchange(next, behind), behind};
}

/// The item or member of that name; empty if there is none.
std::span<const std::byte> entry_named(std::span<const std::byte> value, std::string_view name) noexcept {
  const auto entries = entries_of(value);
  if (!entries) return {};
  const bool is_map = entries->each == 2;
  const std::uint64_t index = is_map ? 0 : index_in(name);
  const std::byte* next = entries->next;
  for (std::uint32_t entry = 0; entry < entries->left; ++entry) {
    const bool found = is_map ? text_in(take_value(next, entries->end)) == name : entry == index;
    const auto taken = take_value(next, entries->end);
    if (found || taken.empty()) return taken;
  }
  return {};
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

std::span<const std::byte> FieldPath::find(std::span<const std::byte> value) const noexcept {
  for_each_name([&value](std::string_view name) { value = entry_named(value, name); });
  return value;
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
