// The way from a value to a field inside it: "todos", "engine.temperature", "items.0.name".
#pragma once

#include <cstddef>
#include <msgpack.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sluice::codec {

/// Names parted by dots; a backslash makes a dot or a backslash part of a name. A name is a key of a map, or
/// the index in an array. An empty path is the value itself. Thread-safety: a value type.
class FieldPath {
 public:
  static constexpr std::size_t kMostBytes = 255;

  FieldPath() = default;
  /// Throws sluice::error (errc::bad_filter) for an empty name, a backslash before anything else, and more
  /// than kMostBytes.
  explicit FieldPath(std::string_view text);

  /// The field of a packed value, in its bytes: the way there costs a skip over what stands before it. Empty: the value
  /// has no such field. Of equal keys, the first counts.
  std::span<const std::byte> find(std::span<const std::byte> value) const noexcept;
  /// The same in a tree. Null: no such field.
  const msgpack::object* find(const msgpack::object& value) const noexcept;

  bool empty() const noexcept { return names_.empty(); }
  /// As it was given.
  std::string text() const;

  bool operator==(const FieldPath&) const = default;

 private:
  /// Calls visit(name) for each name in turn.
  template <typename Visit>
  void for_each_name(Visit visit) const {
    for (std::size_t at = 0; at < names_.size();) {
      const std::size_t bytes = static_cast<unsigned char>(names_[at]);
      visit(std::string_view(names_).substr(at + 1, bytes));
      at += 1 + bytes;
    }
  }

  std::string names_;  // each behind a byte that is its length
};

}  // namespace sluice::codec
