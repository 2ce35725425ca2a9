// Along packed bytes from value to value, without making anything of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace sluice::codec {

inline bool same_bytes(std::span<const std::byte> one, std::span<const std::byte> other) noexcept {
  return one.size() == other.size() &&
         (one.empty() || std::memcmp(one.data(), other.data(), one.size()) == 0);
}

/// What a value's first byte tells about its length.
struct Shape {
  std::uint8_t bytes = 0;         ///< of the value, or of what precedes its body; 0: the byte isn't msgpack
  std::uint8_t length_bytes = 0;  ///< of the length behind the first byte
  std::uint8_t each = 0;    ///< values that a container has for each of its length; 0: its length is in bytes
  std::uint8_t length = 0;  ///< of a container without length bytes
};

constexpr std::array<Shape, 256> make_shapes() noexcept {
  std::array<Shape, 256> shapes{};
  const auto set = [&](unsigned tag, unsigned bytes, unsigned length_bytes = 0, unsigned each = 0,
                       unsigned length = 0) {
    const auto small = [](unsigned number) { return static_cast<std::uint8_t>(number); };
    shapes.at(tag) = {small(bytes), small(length_bytes), small(each), small(length)};
  };
  for (unsigned tag = 0; tag <= 0x7f; ++tag) set(tag, 1);
  for (unsigned tag = 0x80; tag <= 0x8f; ++tag) set(tag, 1, 0, 2, tag & 0x0fU);
  for (unsigned tag = 0x90; tag <= 0x9f; ++tag) set(tag, 1, 0, 1, tag & 0x0fU);
  for (unsigned tag = 0xa0; tag <= 0xbf; ++tag) set(tag, 1 + (tag & 0x1fU));
  for (unsigned tag = 0xe0; tag <= 0xff; ++tag) set(tag, 1);
  for (const unsigned tag : {0xc0U, 0xc2U, 0xc3U}) set(tag, 1);
  for (unsigned power = 0; power < 5; ++power) {
    const unsigned size = 1U << power;
    if (power < 3) {
      set(0xc4 + power, 1 + size, size);  // binaries
      set(0xc7 + power, 2 + size, size);  // extensions, and the byte of their type
      set(0xd9 + power, 1 + size, size);  // strings
    }
    if (power < 2) {
      set(0xca + power, 1 + 4 * size);               // floats
      set(0xdc + power, 1 + 2 * size, 2 * size, 1);  // arrays
      set(0xde + power, 1 + 2 * size, 2 * size, 2);  // maps
    }
    if (power < 4) {
      set(0xcc + power, 1 + size);  // integers without a sign
      set(0xd0 + power, 1 + size);  // and with one
    }
    set(0xd4 + power, 2 + size);  // extensions of a fixed size
  }
  return shapes;
}
inline constexpr std::array<Shape, 256> kShapes = make_shapes();

/// Of a container, string or binary: its entries or bytes.
inline std::uint64_t length_behind(const std::byte* tag, const Shape& shape) noexcept {
  std::uint64_t length = 0;
  for (std::size_t i = 1; i <= shape.length_bytes; ++i)
    length = length << 8U | std::to_integer<std::uint8_t>(tag[i]);
  return shape.length_bytes == 0 ? shape.length : length;
}

/// The text that a whole packed value is. Nothing if it is none.
inline std::optional<std::string_view> text_in(std::span<const std::byte> value) noexcept {
  if (value.empty()) return std::nullopt;
  const auto tag = std::to_integer<std::uint8_t>(value.front());
  if ((tag & 0xe0U) != 0xa0 && (tag < 0xd9 || tag > 0xdb)) return std::nullopt;
  const auto text = value.subspan(std::size_t{1} + kShapes[tag].length_bytes);
  return std::string_view(reinterpret_cast<const char*>(text.data()), text.size());
}

/// Where the value at `next` ends. Null if the bytes end inside it, or aren't msgpack. The branches are for speed: the
/// processor guesses them, and goes on to the next value before this one's first byte has come from memory.
inline const std::byte* skip_value(const std::byte* next, const std::byte* end) noexcept {
  const auto skip = [&](std::uint64_t bytes) {
    const bool there = bytes <= static_cast<std::uint64_t>(end - next);
    if (there) next += bytes;
    return there;
  };
  for (std::uint64_t values = 1; values > 0; --values) {
    if (next == end) return nullptr;
    const auto tag = std::to_integer<std::uint8_t>(*next);
    if (tag <= 0x7f || tag >= 0xe0) {
      ++next;
    } else if ((tag & 0xe0U) == 0xa0) {
      if (!skip(1 + (tag & 0x1fU))) return nullptr;
    } else if (tag == 0xce || tag == 0xd2) {
      if (!skip(5)) return nullptr;
    } else if (tag == 0xcb || tag == 0xcf || tag == 0xd3) {
      if (!skip(9)) return nullptr;
    } else {
      const Shape& shape = kShapes[tag];
      const std::byte* const first = next;
      if (shape.bytes == 0 || !skip(shape.bytes)) return nullptr;
      const std::uint64_t length = length_behind(first, shape);
      if (static_cast<std::uint64_t>(end - next) < length) return nullptr;  // an item takes a byte at least
      if (shape.each == 0) next += length;
      values += length * shape.each;
    }
  }
  return next;
}

/// An array's items or a map's pairs: what is left of them.
struct Entries {
  const std::byte* next = nullptr;
  const std::byte* end = nullptr;  ///< of the container, or of bytes that it lies in
  std::uint32_t left = 0;
  unsigned each = 1;  ///< values an entry has: 2 in a map
};

/// The entries of a value that begins where `bytes` do. Nothing if it's no array or map.
inline std::optional<Entries> entries_of(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return std::nullopt;
  const Shape& shape = kShapes[std::to_integer<std::uint8_t>(bytes.front())];
  if (shape.each == 0 || bytes.size() < shape.bytes) return std::nullopt;
  return Entries{bytes.data() + shape.bytes, bytes.data() + bytes.size(),
                 static_cast<std::uint32_t>(length_behind(bytes.data(), shape)), shape.each};
}

/// One entry's bytes: a key, if it is of a map, and a value.
struct Entry {
  const std::byte* begin = nullptr;
  std::uint32_t key_bytes = 0;
  std::uint32_t bytes = 0;

  std::span<const std::byte> all() const noexcept { return {begin, bytes}; }
  std::span<const std::byte> key() const noexcept { return {begin, key_bytes}; }
  std::span<const std::byte> value() const noexcept { return all().subspan(key_bytes); }
};

/// The next entry of several. Nothing if the bytes end inside it, or aren't msgpack.
inline std::optional<Entry> entry_at(const Entries& entries) noexcept {
  const std::byte* value = entries.next;
  if (entries.each == 2) value = skip_value(value, entries.end);
  const std::byte* const end = value == nullptr ? nullptr : skip_value(value, entries.end);
  if (end == nullptr) return std::nullopt;
  return Entry{entries.next, static_cast<std::uint32_t>(value - entries.next),
               static_cast<std::uint32_t>(end - entries.next)};
}

/// The same, and `entries` go on behind it.
inline std::optional<Entry> step_over(Entries& entries) noexcept {
  const auto entry = entry_at(entries);
  if (!entry) return std::nullopt;
  entries.next += entry->bytes;
  --entries.left;
  return entry;
}

/// Equal keys of a map; equal items of an array.
inline bool same_entry(const Entry& one, const Entry& other) noexcept {
  return one.key_bytes != 0 ? same_bytes(one.key(), other.key()) : same_bytes(one.all(), other.all());
}

}  // namespace sluice::codec
