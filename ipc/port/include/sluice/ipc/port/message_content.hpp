// What a message is made of: bytes, and two ways to look at them, as text and as a value.
//
//   port.post_message("hello");                      // text
//   port.post_message(bytes);                        // std::span, std::vector, std::array of std::byte
//   sluice::post(port, Tick{.price = 101});          // a value, see message_port.hpp
//
//   std::string_view text = sluice::text_of(bytes);
//   std::optional<Tick> tick = sluice::value_of<Tick>(bytes);
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

#pragma GCC visibility push(default)

namespace sluice {

/// The argument of the posting calls: whatever is a contiguous range of std::byte, or text. A C string ends
/// at its zero byte, which isn't part of the message. Refers to the caller's bytes. Thread-safety: a value
/// type.
class BytesOrText {
 public:
  constexpr BytesOrText() noexcept = default;
  constexpr BytesOrText(std::nullptr_t) = delete;

  template <typename T>
  requires std::convertible_to<T, std::span<const std::byte>>
  // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): for arguments
  constexpr BytesOrText(T&& bytes) noexcept : bytes_(std::forward<T>(bytes)) {}

  template <typename T>
  requires(std::convertible_to<T, std::string_view> && !std::convertible_to<T, std::span<const std::byte>>)
      // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): for arguments
      BytesOrText(T&& text)
  noexcept { bytes_ = std::as_bytes(std::span(std::string_view(std::forward<T>(text)))); }

  constexpr std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// The bytes of a message as text. Valid as long as the bytes.
inline std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What can be posted as it lies in memory, and read by a process that has the same type: trivially copyable,
/// and neither a pointer nor a view, whose target the other process doesn't have.
template <typename T>
concept MessageValue =
    std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_member_pointer_v<T> &&
    !std::is_reference_v<T> && !std::ranges::view<T> && !std::convertible_to<const T&, BytesOrText>;

/// A copy of the value that a message holds; nothing if the message's size is another. Sizes are all that is
/// checked: both sides must be built with the same type, and a peer that isn't trusted can send any bytes.
template <MessageValue T>
std::optional<T> value_of(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() != sizeof(T)) return std::nullopt;
  std::array<std::byte, sizeof(T)> copy;
  std::copy_n(bytes.data(), sizeof(T), copy.data());
  return std::bit_cast<T>(copy);
}

}  // namespace sluice

#pragma GCC visibility pop
