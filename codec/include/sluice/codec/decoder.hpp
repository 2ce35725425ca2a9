// From a message's bytes to a value.
//
//   Order order = sluice::codec::decode<Order>(bytes);           // throws what is wrong with them
//
//   sluice::codec::Decoder decoder({.max_bytes = 64 << 10, .in_place = true});
//   auto order = decoder.decode<OrderView>(bytes);               // its memory is kept for the next one
#pragma once

#include <cstddef>
#include <exception>
#include <msgpack.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/object_tree.hpp"
#include "sluice/codec/variant.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

namespace detail {
[[noreturn]] void refuse_tree(const std::type_info& wanted, const msgpack::object& tree);
}

/// Decodes messages within its limits, and keeps the memory that this takes for the next one.
///
/// A value is decoded into a fresh T{}: fields that the message doesn't have keep their defaults, and those that
/// T doesn't know are passed over. Integers must fit; a float is never read as an integer. Strings are bytes:
/// whether they are UTF-8 isn't looked at. If a
/// key comes twice, the last one counts in a std::map, the first one in a type with MSGPACK_DEFINE_MAP.
///
/// Views in the value (std::string_view, msgpack::type::raw_ref, msgpack::object) are valid until this decodes
/// again; with DecodeOptions::in_place, only as long as the message's bytes, too.
/// Thread-safety: one thread at a time.
class Decoder {
 public:
  /// Throws errc::bad_option (of sluice) for a max_depth beyond 512.
  explicit Decoder(const DecodeOptions& options = {});

  /// The value of the message. Throws sluice::error with a code of codec::errc, which says what is wrong with the
  /// bytes; errc::misuse (of sluice) inside a converter that this decoder called: decode there with a decoder of
  /// your own; and whatever a converter of T's own throws.
  template <typename T>
  T decode(std::span<const std::byte> message) {
    static_assert(std::is_default_constructible_v<T>, "decoding begins with T{}");
    const Use use(*this);
    T value{};
    const msgpack::object& root = parse(message);
    try {
      root.convert(value);
    } catch (const std::bad_cast&) {  // msgpack::type_error, which says nothing of its own
      refuse(typeid(T), message.size());
    }
    return value;
  }

  const DecodeOptions& options() const noexcept { return options_; }

 private:
  /// The tree and the copy belong to one call.
  class Use {
   public:
    explicit Use(Decoder& decoder) : decoder_(decoder) {
      if (decoder.in_use_) refuse_nested();
      decoder.in_use_ = true;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { decoder_.in_use_ = false; }

   private:
    Decoder& decoder_;
  };

  [[noreturn]] static void refuse_nested();
  /// The message as a tree. Throws as decode() does.
  const msgpack::object& parse(std::span<const std::byte> message);
  [[noreturn]] void refuse(const std::type_info& wanted, std::size_t bytes) const;

  DecodeOptions options_;
  std::vector<std::byte> copy_;
  ObjectTree tree_;
  bool in_use_ = false;
};

/// The value of a tree that was parsed elsewhere. Throws errc::wrong_type if it is no T.
template <typename T>
T convert(const msgpack::object& tree) {
  T value{};
  try {
    tree.convert(value);
  } catch (const std::bad_cast&) {
    detail::refuse_tree(typeid(T), tree);
  }
  return value;
}

/// This thread's decoder, with the default options.
Decoder& thread_decoder();

/// Decodes with thread_decoder().
template <typename T>
T decode(std::span<const std::byte> message) {
  return thread_decoder().decode<T>(message);
}

}  // namespace sluice::codec

#pragma GCC visibility pop
