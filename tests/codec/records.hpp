// Types that the tests of the codec room post.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sluice/codec.hpp"

namespace sluice::test {

enum class Side : std::uint8_t { buy, sell };

}  // namespace sluice::test

MSGPACK_ADD_ENUM(sluice::test::Side)

namespace sluice::test {

struct Order {
  std::string customer;
  std::uint64_t cents = 0;
  MSGPACK_DEFINE(customer, cents)
  bool operator==(const Order&) const = default;
};

/// Order as somebody has it who reads it in place.
struct OrderView {
  std::string_view customer;
  std::uint64_t cents = 0;
  MSGPACK_DEFINE(customer, cents)
};

/// Order after a year: one field more, which older peers don't send.
struct OrderOfNextYear {
  std::string customer;
  std::uint64_t cents = 0;
  std::optional<std::string> note;
  MSGPACK_DEFINE(customer, cents, note)
};

struct Named {
  std::string name;
  int count = 0;
  MSGPACK_DEFINE_MAP(name, count)
};

/// Named without one field, and with one that Named doesn't know.
struct NamedOtherwise {
  std::string name;
  std::optional<double> weight;
  MSGPACK_DEFINE_MAP(name, weight)
};

/// Some of everything.
struct Everything {
  std::vector<Order> orders;
  std::map<std::string, std::int64_t> numbers;
  std::optional<double> ratio;
  std::variant<int, std::string, Order> choice;
  std::chrono::system_clock::time_point time;
  Side side = Side::buy;
  std::array<float, 3> place{};
  std::vector<std::byte> bytes;
  bool flag = false;
  MSGPACK_DEFINE(orders, numbers, ratio, choice, time, side, place, bytes, flag)
  bool operator==(const Everything&) const = default;
};

template <typename T>
std::vector<std::byte> packed(const T& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  const auto bytes = std::as_bytes(std::span(buffer.data(), buffer.size()));
  return {bytes.begin(), bytes.end()};
}

/// Bytes as they are.
template <typename... Bytes>
std::vector<std::byte> raw(Bytes... bytes) {
  return {static_cast<std::byte>(bytes)...};
}

inline Everything some_of_everything() {
  return {.orders = {{"Ada", 1250}, {"", 0}, {std::string(300, 'x'), UINT64_MAX}},
          .numbers = {{"low", INT64_MIN}, {"high", INT64_MAX}, {"", 0}},
          .ratio = -0.0,
          .choice = Order{"Grace", 1},
          .time = std::chrono::system_clock::time_point(std::chrono::nanoseconds(-1)),
          .side = Side::sell,
          .place = {1.5F, -2.5F, 0},
          .bytes = raw(0, 255, 0xc1),
          .flag = true};
}

}  // namespace sluice::test
