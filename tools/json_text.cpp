#include "json_text.hpp"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/writers.hpp"
#include "sluice/codec/timestamp.hpp"

namespace sluice::tools {
namespace {

using codec::Timestamp;
using nlohmann::json;
using Packer = msgpack::packer<codec::detail::GrowingWriter>;

/// What can be nested so deep as JSON still fits: {"$map": [[KEY, VALUE]]} is three levels for one.
constexpr std::size_t kMostLevels = 3 * std::size_t{kJsonLimits.max_depth} + 2;

[[noreturn]] void refuse(const std::string& why) {
  throw std::runtime_error(why);
}

// ---- base64 ----

std::string to_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a zero behind it
  const int count =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(count));
  return text;
}

/// OpenSSL takes more than base64: what it made of the text must give the same text again.
std::string from_base64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const int count =
      ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  const auto padding = static_cast<std::size_t>(std::count(text.begin(), text.end(), '='));
  bytes.resize(count < 0 || padding > bytes.size() ? 0 : bytes.size() - padding);
  if (to_base64(bytes) != text) refuse(base::quoted_text(text) + " is no base64");
  return bytes;
}

// ---- RFC 3339 ----

std::optional<std::string> to_text(const Timestamp& time) {
  using namespace std::chrono;
  constexpr auto kFirst = sys_days(year(0) / 1 / 1);
  constexpr auto kBehindLast = sys_days(year(10000) / 1 / 1);
  const sys_seconds whole{seconds(time.seconds)};
  if (whole < kFirst || whole >= kBehindLast) return std::nullopt;
  const auto day = floor<days>(whole);
  const year_month_day date(day);
  const hh_mm_ss clock(whole - day);
  std::string fraction = time.nanoseconds == 0 ? "" : fmt::format(".{:09}", time.nanoseconds);
  while (fraction.ends_with('0')) fraction.pop_back();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(), fraction);
}

/// Takes a text from its beginning to its end.
class TimeReader {
 public:
  explicit TimeReader(const std::string& text) : whole_(text), rest_(text) {}

  Timestamp read() {
    using namespace std::chrono;
    const year y(number(4));
    take("-");
    const month m(static_cast<unsigned>(number(2)));
    take("-");
    const day d(static_cast<unsigned>(number(2)));
    take("Tt");
    const hours hour(number(2));
    take(":");
    const minutes minute(number(2));
    take(":");
    const seconds second(number(2));
    const std::uint32_t nanoseconds = fraction();
    const seconds behind_utc = offset();
    const year_month_day date = y / m / d;
    if (!rest_.empty() || !date.ok() || hour > 23h || minute > 59min || second > 59s) refuse();
    return {(sys_days(date) + hour + minute + second - behind_utc).time_since_epoch().count(), nanoseconds};
  }

 private:
  static constexpr std::string_view kDigits = "0123456789";

  bool next_is(std::string_view characters) const {
    return !rest_.empty() && characters.find(rest_.front()) != std::string_view::npos;
  }
  char take(std::string_view characters) {
    if (!next_is(characters)) refuse();
    const char taken = rest_.front();
    rest_.remove_prefix(1);
    return taken;
  }
  int number(std::size_t digits) {
    int value = 0;
    for (; digits > 0; --digits) value = 10 * value + (take(kDigits) - '0');
    return value;
  }
  std::uint32_t fraction() {
    if (!next_is(".")) return 0;
    take(".");
    int value = number(1);
    int unit = 100'000'000;
    for (; unit > 1 && next_is(kDigits); unit /= 10) value = 10 * value + number(1);
    return static_cast<std::uint32_t>(value * unit);
  }
  std::chrono::seconds offset() {
    const char sign = take("Zz+-");
    if (sign == 'Z' || sign == 'z') return {};
    const std::chrono::hours hour(number(2));
    take(":");
    const std::chrono::minutes minute(number(2));
    if (hour.count() > 23 || minute.count() > 59) refuse();
    return sign == '-' ? -(hour + minute) : hour + minute;
  }
  [[noreturn]] void refuse() const {
    tools::refuse(base::quoted_text(whole_) + " is no RFC 3339 time, as 2026-05-04T03:02:01.5Z");
  }

  const std::string& whole_;
  std::string_view rest_;
};

// ---- JSON to msgpack ----

class ValuePacker {
 public:
  void pack(const json& value) {
    switch (value.type()) {
      case json::value_t::boolean:
        value.get<bool>() ? packer_.pack_true() : packer_.pack_false();
        return;
      case json::value_t::number_integer:
        packer_.pack_int64(value.get<std::int64_t>());
        return;
      case json::value_t::number_unsigned:
        packer_.pack_uint64(value.get<std::uint64_t>());
        return;
      case json::value_t::number_float:
        pack_float(value.get<double>());
        return;
      case json::value_t::string:
        pack_string(value.get_ref<const std::string&>());
        return;
      case json::value_t::array:
        packer_.pack_array(static_cast<std::uint32_t>(value.size()));
        for (const json& element : value) pack(element);
        return;
      case json::value_t::object:
        pack_object(value.get_ref<const json::object_t&>());
        return;
      default:
        packer_.pack_nil();
    }
  }

  std::vector<std::byte> take() && { return std::move(writer_).take(); }

  /// Whether an object with this one key stands for something else.
  static bool is_marker(std::string_view key) { return find_marker(key) != nullptr; }

 private:
  struct Marker {
    std::string_view key;
    void (ValuePacker::*pack)(const json& content);
  };

  static const Marker* find_marker(std::string_view key) {
    static constexpr std::array kMarkers{
        Marker{"$binary", &ValuePacker::pack_binary},          Marker{"$ext", &ValuePacker::pack_extension},
        Marker{"$float", &ValuePacker::pack_no_number},        Marker{"$map", &ValuePacker::pack_map},
        Marker{"$string", &ValuePacker::pack_bytes_as_string}, Marker{"$timestamp", &ValuePacker::pack_time}};
    const auto* const found = std::ranges::find(kMarkers, key, &Marker::key);
    return found == kMarkers.end() ? nullptr : found;
  }

  void pack_object(const json::object_t& object) {
    if (object.size() == 1) {
      if (const Marker* const marker = find_marker(object.begin()->first)) {
        (this->*marker->pack)(object.begin()->second);
        return;
      }
    }
    packer_.pack_map(static_cast<std::uint32_t>(object.size()));
    for (const auto& [key, value] : object) {
      pack_string(key);
      pack(value);
    }
  }

  void pack_string(const std::string& text) {
    packer_.pack_str(static_cast<std::uint32_t>(text.size()));
    packer_.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
  }

  /// msgpack-cxx packs a float without a fraction as an integer.
  void pack_float(double number) {
    std::array<char, 1 + sizeof number> bytes{static_cast<char>(0xcb)};
    auto bits = std::bit_cast<std::uint64_t>(number);
    for (std::size_t i = bytes.size(); i-- > 1; bits >>= 8U) bytes.at(i) = static_cast<char>(bits & 0xffU);
    writer_.write(bytes.data(), bytes.size());
  }

  void pack_binary(const json& content) {
    const std::string bytes = from_base64(text_of("$binary", content));
    packer_.pack_bin(static_cast<std::uint32_t>(bytes.size()));
    packer_.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  }

  void pack_bytes_as_string(const json& content) { pack_string(from_base64(text_of("$string", content))); }

  void pack_extension(const json& content) {
    if (!content.is_array() || content.size() != 2 || !fits_type(content[0]))
      refuse("\"$ext\": expected [TYPE, BASE64], with a type from -128 to 127");
    const std::string bytes = from_base64(text_of("$ext", content[1]));
    packer_.pack_ext(bytes.size(), content[0].get<std::int8_t>());
    packer_.pack_ext_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  }

  /// The library compares unsigned numbers with signed ones as signed.
  static bool fits_type(const json& number) {
    if (number.is_number_unsigned()) return number.get<std::uint64_t>() <= 127;
    return number.is_number_integer() && std::in_range<std::int8_t>(number.get<std::int64_t>());
  }

  void pack_no_number(const json& content) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const std::string& text = text_of("$float", content);
    if (text == "NaN") return pack_float(std::numeric_limits<double>::quiet_NaN());
    if (text == "Infinity") return pack_float(kInfinity);
    if (text == "-Infinity") return pack_float(-kInfinity);
    refuse("\"$float\": expected NaN, Infinity or -Infinity, got " + base::quoted_text(text));
  }

  void pack_map(const json& content) {
    const auto is_pair = [](const json& pair) { return pair.is_array() && pair.size() == 2; };
    if (!content.is_array() || !std::ranges::all_of(content, is_pair))
      refuse("\"$map\": expected a list of pairs, [[KEY, VALUE], ...]");
    packer_.pack_map(static_cast<std::uint32_t>(content.size()));
    for (const json& pair : content) {
      pack(pair[0]);
      pack(pair[1]);
    }
  }

  void pack_time(const json& content) { packer_.pack(TimeReader(text_of("$timestamp", content)).read()); }

  static const std::string& text_of(const char* marker, const json& content) {
    if (!content.is_string()) refuse(fmt::format("\"{}\": expected a string", marker));
    return content.get_ref<const std::string&>();
  }

  codec::detail::GrowingWriter writer_;
  Packer packer_{writer_};
};

// ---- msgpack to JSON ----

std::string_view text_of(const msgpack::object& string) {
  return {string.via.str.ptr, string.via.str.size};
}

json json_of_float(double number) {
  if (std::isnan(number)) return {{"$float", "NaN"}};
  if (std::isinf(number)) return {{"$float", number > 0 ? "Infinity" : "-Infinity"}};
  return number;
}

json json_of_extension(const msgpack::object& value) {
  if (const auto time = Timestamp::read(value)) {
    if (auto text = to_text(*time)) return {{"$timestamp", *std::move(text)}};
  }
  return {
      {"$ext", json::array({value.via.ext.type(), to_base64({value.via.ext.data(), value.via.ext.size})})}};
}

/// Looked at before any value is made: to find it out in between would double the work at every level.
bool is_like_an_object(const msgpack::object_map& map) {
  std::set<std::string_view> keys;
  for (const msgpack::object_kv& entry : std::span(map.ptr, map.size)) {
    if (entry.key.type != msgpack::type::STR || !base::is_utf8(text_of(entry.key))) return false;
    if (!keys.insert(text_of(entry.key)).second) return false;
  }
  return keys.size() != 1 || !ValuePacker::is_marker(*keys.begin());
}

json json_of_map(const msgpack::object_map& map) {
  const std::span entries(map.ptr, map.size);
  if (is_like_an_object(map)) {
    json object = json::object();
    for (const msgpack::object_kv& entry : entries) object.emplace(text_of(entry.key), json_of(entry.val));
    return object;
  }
  json pairs = json::array();
  for (const msgpack::object_kv& entry : entries)
    pairs.push_back(json::array({json_of(entry.key), json_of(entry.val)}));
  return {{"$map", std::move(pairs)}};
}

// ---- text to JSON ----

/// Builds one value, and refuses what the library would take: equal keys, integers that it rounds to floats.
class StrictReader final : public nlohmann::json_sax<json> {
 public:
  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string& text) override {
    if (text.find_first_of(".eE") == std::string::npos)
      refuse("the integer " + base::quoted_text(text, kMostShown) + " has more than 64 bits");
    return add(value);
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(json::binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t /*unknown*/) override { return open(json::object()); }
  bool start_array(std::size_t /*unknown*/) override { return open(json::array()); }
  bool key(std::string& name) override {
    if (open_.back()->contains(name))
      refuse("the key " + base::quoted_text(name, kMostShown) + " comes twice");
    value_of_key_ = &(*open_.back())[name];
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& failure) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ..."
    std::string_view why = failure.what();
    why.remove_prefix(std::min(why.size(), why.find("] ") + 2));
    if (const auto column = why.find(": ");
        why.starts_with("parse error at ") && column != std::string_view::npos)
      why.remove_prefix(column + 2);
    refuse(fmt::format("at byte {}: {}", position, base::printable(why, kMostShown)));
  }

 private:
  static constexpr std::size_t kMostShown = 200;

  json* place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_object()) return &(*value_of_key_ = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json container) {
    if (open_.size() == kMostLevels) refuse(fmt::format("nested deeper than {} levels", kMostLevels));
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json root_;
  std::vector<json*> open_;  // each within the one before it
  json* value_of_key_ = nullptr;
};

}  // namespace

json json_of(const msgpack::object& value) {
  switch (value.type) {
    case msgpack::type::NIL:
      return nullptr;
    case msgpack::type::BOOLEAN:
      return value.via.boolean;
    case msgpack::type::POSITIVE_INTEGER:
      return value.via.u64;
    case msgpack::type::NEGATIVE_INTEGER:
      return value.via.i64;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return json_of_float(value.via.f64);
    case msgpack::type::STR:
      if (base::is_utf8(text_of(value))) return text_of(value);
      return {{"$string", to_base64(text_of(value))}};
    case msgpack::type::BIN:
      return {{"$binary", to_base64({value.via.bin.ptr, value.via.bin.size})}};
    case msgpack::type::EXT:
      return json_of_extension(value);
    case msgpack::type::MAP:
      return json_of_map(value.via.map);
    case msgpack::type::ARRAY:
      break;
  }
  json list = json::array();
  for (const msgpack::object& element : std::span(value.via.array.ptr, value.via.array.size))
    list.push_back(json_of(element));
  return list;
}

std::vector<std::byte> packed_of(const json& value) {
  ValuePacker packer;
  packer.pack(value);
  std::vector<std::byte> bytes = std::move(packer).take();
  codec::DecodeOptions limits = kJsonLimits;
  limits.in_place = true;
  static_cast<void>(codec::Decoder(limits).decode<msgpack::object>(bytes));
  return bytes;
}

json parse_json(std::string_view text) {
  StrictReader reader;
  json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

std::string line_of(const json& value, bool for_terminal) {
  return value.dump(-1, ' ', for_terminal);
}

}  // namespace sluice::tools
