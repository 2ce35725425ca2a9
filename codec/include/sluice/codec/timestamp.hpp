// A point in time as msgpack carries it, with all that the format can hold.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <msgpack.hpp>
#include <optional>

#pragma GCC visibility push(default)

namespace sluice::codec {

/// The extension of type -1. system_clock::time_point is packed and read as one, too, but holds the years 1677
/// to 2262 only. Thread-safety: a value type.
struct Timestamp {
  std::int64_t seconds = 0;       ///< since 1970-01-01T00:00:00Z
  std::uint32_t nanoseconds = 0;  ///< 0 .. 999,999,999, added to the seconds

  static constexpr std::int8_t kType = -1;  ///< of the extension

  auto operator<=>(const Timestamp&) const = default;

  /// The shortest form that holds it, as the format demands.
  template <typename Packer>
  void msgpack_pack(Packer& packer) const {
    std::array<char, 12> body{};
    const auto whole = static_cast<std::uint64_t>(seconds);
    std::uint32_t bytes = 12;
    if (whole >> 34 == 0) {
      const std::uint64_t both = std::uint64_t{nanoseconds} << 34 | whole;
      bytes = both >> 32 == 0 ? 4 : 8;
      store(both, body.data(), bytes);
    } else {
      store(nanoseconds, body.data(), 4);
      store(whole, body.data() + 4, 8);
    }
    packer.pack_ext(bytes, kType);
    packer.pack_ext_body(body.data(), bytes);
  }

  /// Nothing if the value is no timestamp. Nanoseconds may be out of range.
  static std::optional<Timestamp> read(const msgpack::object& value) noexcept {
    if (value.type != msgpack::type::EXT || value.via.ext.type() != kType) return std::nullopt;
    const char* const body = value.via.ext.data();
    switch (value.via.ext.size) {
      case 4:
        return Timestamp{static_cast<std::int64_t>(load(body, 4)), 0};
      case 8: {
        const std::uint64_t both = load(body, 8);
        return Timestamp{static_cast<std::int64_t>(both & 0x3'ffff'ffff),
                         static_cast<std::uint32_t>(both >> 34)};
      }
      case 12:
        return Timestamp{static_cast<std::int64_t>(load(body + 4, 8)),
                         static_cast<std::uint32_t>(load(body, 4))};
      default:
        return std::nullopt;
    }
  }

  /// Throws msgpack::type_error if the value is no timestamp.
  void msgpack_unpack(const msgpack::object& value) {
    const auto time = read(value);
    if (!time) throw msgpack::type_error();
    *this = *time;
  }

 private:
  /// Big-endian.
  static void store(std::uint64_t number, char* to, std::uint32_t bytes) noexcept {
    for (; bytes > 0; number >>= 8) to[--bytes] = static_cast<char>(number & 0xff);
  }
  static std::uint64_t load(const char* from, std::uint32_t bytes) noexcept {
    std::uint64_t number = 0;
    for (std::uint32_t i = 0; i < bytes; ++i) number = number << 8 | static_cast<unsigned char>(from[i]);
    return number;
  }
};

}  // namespace sluice::codec

#pragma GCC visibility pop
