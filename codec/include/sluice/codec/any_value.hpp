// A value of whatever type, for programs that pass values on: a command, a gateway.
//
//   const auto answer = peer.call<sluice::codec::AnyValue>("todos", "add", PackedArguments{{title}});
//   print(answer.root());
#pragma once

#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <span>
#include <utility>
#include <vector>

#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/packed_value.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Holds the packed bytes of one value; nil at first. Can be posted, received, called with, returned and observed as
/// any other type; what it is packed into and read from has the same bytes. Thread-safety: a value type; copies share
/// what they hold.
class AnyValue {
 public:
  AnyValue() : AnyValue(PackedValue::of(msgpack::type::nil_t())) {}
  explicit AnyValue(SharedValue value) noexcept : value_(std::move(value)) {}
  /// Of any type that can be packed.
  template <typename T>
  static AnyValue of(const T& value) {
    return AnyValue(PackedValue::of(value));
  }

  std::span<const std::byte> bytes() const noexcept { return value_->bytes(); }
  /// Valid as long as this, or a copy.
  const msgpack::object& root() const { return value_->root(); }

  template <typename Packer>
  void msgpack_pack(Packer& packer) const {
    detail::pack_packed(packer, bytes());
  }
  void msgpack_unpack(const msgpack::object& value) { value_ = PackedValue::of(value); }

 private:
  SharedValue value_;
};

/// The arguments of a call, if their number isn't known when the program is compiled: in place of them.
struct PackedArguments {
  std::vector<AnyValue> values{};
};

}  // namespace sluice::codec

#pragma GCC visibility pop
