#include "sluice/codec/object_tree.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include "sluice/codec/error.hpp"
#include "sluice/codec/timestamp.hpp"

namespace sluice::codec {
namespace {

using msgpack::object;
using msgpack::object_kv;

// A map's pairs are filled as twice as many values in a row, and the tree is dropped without a destructor.
static_assert(sizeof(object_kv) == 2 * sizeof(object) && alignof(object_kv) == alignof(object));
static_assert(std::is_trivially_destructible_v<object> && std::is_trivially_destructible_v<object_kv>);
static_assert(alignof(object) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

template <typename Number>
Number big_endian(const std::byte* from) noexcept {
  std::array<std::byte, sizeof(Number)> bytes;
  std::copy_n(from, sizeof(Number), bytes.begin());
  if constexpr (std::endian::native == std::endian::little) std::ranges::reverse(bytes);
  return std::bit_cast<Number>(bytes);
}

/// Whether the clock can hold it. (The seconds at either end of its range aren't whole, so they count as outside.)
bool fits_system_clock(const Timestamp& time) noexcept {
  using std::chrono::seconds;
  using Clock = std::chrono::system_clock;
  constexpr auto kFirst = std::chrono::ceil<seconds>(Clock::time_point::min().time_since_epoch()).count() + 1;
  constexpr auto kLast = std::chrono::floor<seconds>(Clock::time_point::max().time_since_epoch()).count() - 1;
  return time.seconds >= kFirst && time.seconds <= kLast;
}

/// One pass over the bytes. Invariant: `left_` values may still be made in memory_. They are as many as the
/// message has bytes, since each value takes one at least; or fewer, if the limit is lower (capped).
class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const DecodeOptions& limits, std::byte* memory, std::size_t values,
         bool capped) noexcept
      : begin_(bytes.data()),
        next_(bytes.data()),
        end_(bytes.data() + bytes.size()),
        limits_(limits),
        memory_(memory),
        left_(values),
        capped_(capped) {}

  std::size_t at() const noexcept { return static_cast<std::size_t>(next_ - begin_); }

  /// errc{} if nothing is wrong. The value goes into `root`, and has to end where the bytes end.
  errc parse(object& root) noexcept {
    Span open{&root, &root + 1};
    for (;;) {
      if (next_ == end_) return errc::cut_off;
      children_ = {};
      if (const errc fault = read_value(*open.next); fault != errc{}) return fault;
      ++open.next;
      if (children_.next != children_.end) {
        outer_[depth_ - 1] = open;
        open = children_;
      }
      while (open.next == open.end) {
        if (depth_ == 0) return next_ == end_ ? errc{} : errc::trailing_bytes;
        open = outer_[--depth_];
      }
    }
  }

 private:
  /// Values of one container that are still to be read.
  struct Span {
    object* next;
    object* end;
  };

  std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - next_); }

  errc read_value(object& value) noexcept {
    const auto tag = std::to_integer<std::uint8_t>(*next_);
    if (tag <= 0x7f) return take_unsigned(value, tag, 1);
    if (tag >= 0xe0) return take_signed(value, std::int64_t{tag} - 0x100, 1);
    if (tag <= 0x8f) return read_map(value, 0, tag & 0x0fU);
    if (tag <= 0x9f) return read_array(value, 0, tag & 0x0fU);
    if (tag <= 0xbf) return read_string(value, 0, tag & 0x1fU);
    switch (tag) {
      case 0xc0:
        value.type = msgpack::type::NIL;
        ++next_;
        return {};
      case 0xc2:
      case 0xc3:
        value.type = msgpack::type::BOOLEAN;
        value.via.boolean = tag == 0xc3;
        ++next_;
        return {};
      case 0xc4:
        return read_sized<std::uint8_t>(value, &Parser::read_binary);
      case 0xc5:
        return read_sized<std::uint16_t>(value, &Parser::read_binary);
      case 0xc6:
        return read_sized<std::uint32_t>(value, &Parser::read_binary);
      case 0xc7:
        return read_sized<std::uint8_t>(value, &Parser::read_extension);
      case 0xc8:
        return read_sized<std::uint16_t>(value, &Parser::read_extension);
      case 0xc9:
        return read_sized<std::uint32_t>(value, &Parser::read_extension);
      case 0xca:
        return read_float<float, std::uint32_t>(value, msgpack::type::FLOAT32);
      case 0xcb:
        return read_float<double, std::uint64_t>(value, msgpack::type::FLOAT64);
      case 0xcc:
        return read_integer<std::uint8_t>(value);
      case 0xcd:
        return read_integer<std::uint16_t>(value);
      case 0xce:
        return read_integer<std::uint32_t>(value);
      case 0xcf:
        return read_integer<std::uint64_t>(value);
      case 0xd0:
        return read_integer<std::int8_t>(value);
      case 0xd1:
        return read_integer<std::int16_t>(value);
      case 0xd2:
        return read_integer<std::int32_t>(value);
      case 0xd3:
        return read_integer<std::int64_t>(value);
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return read_extension(value, 0, std::size_t{1} << (tag - 0xd4U));
      case 0xd9:
        return read_sized<std::uint8_t>(value, &Parser::read_string);
      case 0xda:
        return read_sized<std::uint16_t>(value, &Parser::read_string);
      case 0xdb:
        return read_sized<std::uint32_t>(value, &Parser::read_string);
      case 0xdc:
        return read_sized<std::uint16_t>(value, &Parser::read_array);
      case 0xdd:
        return read_sized<std::uint32_t>(value, &Parser::read_array);
      case 0xde:
        return read_sized<std::uint16_t>(value, &Parser::read_map);
      case 0xdf:
        return read_sized<std::uint32_t>(value, &Parser::read_map);
      default:
        return errc::undefined_byte;
    }
  }

  errc take_unsigned(object& value, std::uint64_t number, std::size_t bytes) noexcept {
    value.type = msgpack::type::POSITIVE_INTEGER;
    value.via.u64 = number;
    next_ += bytes;
    return {};
  }

  /// msgpack-cxx keeps what isn't negative as POSITIVE_INTEGER.
  errc take_signed(object& value, std::int64_t number, std::size_t bytes) noexcept {
    if (number >= 0) return take_unsigned(value, static_cast<std::uint64_t>(number), bytes);
    value.type = msgpack::type::NEGATIVE_INTEGER;
    value.via.i64 = number;
    next_ += bytes;
    return {};
  }

  template <typename Number>
  errc read_integer(object& value) noexcept {
    if (remaining() < 1 + sizeof(Number)) return errc::cut_off;
    const auto number = big_endian<Number>(next_ + 1);
    if constexpr (std::is_signed_v<Number>) {
      return take_signed(value, number, 1 + sizeof(Number));  // NOLINT(bugprone-signed-char-misuse): a number
    } else {
      return take_unsigned(value, number, 1 + sizeof(Number));
    }
  }

  template <typename Float, typename Bits>
  errc read_float(object& value, msgpack::type::object_type type) noexcept {
    if (remaining() < 1 + sizeof(Bits)) return errc::cut_off;
    value.type = type;
    value.via.f64 = std::bit_cast<Float>(big_endian<Bits>(next_ + 1));
    next_ += 1 + sizeof(Bits);
    return {};
  }

  /// A value whose size stands in `Size` behind its tag.
  template <typename Size>
  errc read_sized(object& value, errc (Parser::*read)(object&, std::size_t, std::size_t) noexcept) noexcept {
    if (remaining() < 1 + sizeof(Size)) return errc::cut_off;
    return (this->*read)(value, sizeof(Size), big_endian<Size>(next_ + 1));
  }

  /// Skips tag and size, and takes `bytes` bytes. Null: there are fewer.
  const char* take_body(std::size_t size_bytes, std::size_t bytes) noexcept {
    if (remaining() - 1 - size_bytes < bytes) return nullptr;
    const auto* const body = reinterpret_cast<const char*>(next_ + 1 + size_bytes);
    next_ += 1 + size_bytes + bytes;
    return body;
  }

  errc read_string(object& value, std::size_t size_bytes, std::size_t bytes) noexcept {
    const char* const body = take_body(size_bytes, bytes);
    if (body == nullptr) return errc::cut_off;
    value.type = msgpack::type::STR;
    value.via.str = {static_cast<std::uint32_t>(bytes), body};
    return {};
  }

  errc read_binary(object& value, std::size_t size_bytes, std::size_t bytes) noexcept {
    const char* const body = take_body(size_bytes, bytes);
    if (body == nullptr) return errc::cut_off;
    value.type = msgpack::type::BIN;
    value.via.bin = {static_cast<std::uint32_t>(bytes), body};
    return {};
  }

  /// Its type stands before the body, and isn't counted in its size.
  errc read_extension(object& value, std::size_t size_bytes, std::size_t bytes) noexcept {
    const std::byte* const tag = next_;
    const char* const body = take_body(size_bytes, bytes + 1);
    if (body == nullptr) return errc::cut_off;
    value.type = msgpack::type::EXT;
    value.via.ext = {static_cast<std::uint32_t>(bytes), body};
    if (value.via.ext.type() != Timestamp::kType) return {};
    const auto time = Timestamp::read(value);
    constexpr std::uint32_t kSecond = 1'000'000'000;
    const bool valid =
        time && time->nanoseconds < kSecond && (limits_.any_timestamp || fits_system_clock(*time));
    if (valid) return {};
    next_ = tag;
    return errc::bad_timestamp;
  }

  errc read_array(object& value, std::size_t size_bytes, std::size_t count) noexcept {
    if (const errc fault = open(size_bytes, count, 1); fault != errc{}) return fault;
    value.type = msgpack::type::ARRAY;
    value.via.array = {static_cast<std::uint32_t>(count), children_.next};
    return {};
  }

  errc read_map(object& value, std::size_t size_bytes, std::size_t count) noexcept {
    if (const errc fault = open(size_bytes, count, 2); fault != errc{}) return fault;
    value.type = msgpack::type::MAP;
    value.via.map = {static_cast<std::uint32_t>(count), reinterpret_cast<object_kv*>(children_.next)};
    return {};
  }

  /// Makes room for a container's values, `each` for each of the `count` that it claims.
  errc open(std::size_t size_bytes, std::size_t count, std::size_t each) noexcept {
    if (depth_ == limits_.max_depth) return errc::too_deep;
    const std::size_t behind = remaining() - 1 - size_bytes;
    if (behind / each < count) return errc::cut_off;
    const std::size_t values = count * each;
    if (values > left_) return capped_ ? errc::too_many_elements : errc::cut_off;
    next_ += 1 + size_bytes;
    if (values == 0) return {};
    ++depth_;
    left_ -= values;
    auto* const first = reinterpret_cast<object*>(memory_);
    std::uninitialized_default_construct_n(first, values);
    memory_ += values * sizeof(object);
    children_ = {first, first + values};
    return {};
  }

  const std::byte* const begin_;
  const std::byte* next_;
  const std::byte* const end_;
  const DecodeOptions& limits_;
  std::byte* memory_;
  std::size_t left_;
  const bool capped_;
  unsigned depth_ = 0;                     // containers that are open
  Span children_{};                        // those of the value read last
  std::array<Span, kDeepestLevel> outer_;  // the first depth_ are set: 8 KiB that most messages never touch
};

}  // namespace

std::error_code ObjectTree::parse(std::span<const std::byte> bytes, const DecodeOptions& limits) {
  at_ = 0;
  root_ = object();
  if (bytes.size() > limits.max_bytes) return errc::too_large;
  if (limits.max_elements == 0) return errc::too_many_elements;

  // Each value takes a byte at least, so no message needs more.
  const std::size_t values = std::min(bytes.size(), limits.max_elements - 1);
  if (values > capacity_) {
    memory_.reset();
    capacity_ = 0;
    memory_.reset(static_cast<std::byte*>(::operator new(values * sizeof(object))));
    capacity_ = values;
  }
  Parser parser(bytes, limits, memory_.get(), values, values < bytes.size());
  const errc fault = parser.parse(root_);
  at_ = parser.at();
  if (fault != errc{}) root_ = object();
  return fault == errc{} ? std::error_code() : make_error_code(fault);
}

std::string describe(const object& value) {
  switch (value.type) {
    case msgpack::type::NIL:
      return "nil";
    case msgpack::type::BOOLEAN:
      return "boolean";
    case msgpack::type::POSITIVE_INTEGER:
    case msgpack::type::NEGATIVE_INTEGER:
      return "integer";
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return "float";
    case msgpack::type::STR:
      return "string of " + std::to_string(value.via.str.size) + " bytes";
    case msgpack::type::BIN:
      return "binary of " + std::to_string(value.via.bin.size) + " bytes";
    case msgpack::type::ARRAY:
      return "array of " + std::to_string(value.via.array.size);
    case msgpack::type::MAP:
      return "map of " + std::to_string(value.via.map.size);
    case msgpack::type::EXT:
      return "extension of type " + std::to_string(value.via.ext.type());
  }
  return "value of no known type";
}

}  // namespace sluice::codec
