// One value of a state: packed once, for every stream that sends it.
#pragma once

#include <cstddef>
#include <memory>
#include <msgpack.hpp>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/detail/delta_cache.hpp"
#include "sluice/codec/detail/writers.hpp"
#include "sluice/codec/object_tree.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// The bytes of one msgpack value, and its tree. Never changes, so any number of threads and streams may share
/// one.
class PackedValue {
 public:
  /// Takes packed bytes. They are looked at when root() is asked for; check() does so at once.
  explicit PackedValue(std::vector<std::byte> bytes) noexcept : bytes_(std::move(bytes)) {}
  PackedValue(const PackedValue&) = delete;
  PackedValue& operator=(const PackedValue&) = delete;
  ~PackedValue() = default;

  /// Packs `value`. Throws what packing throws.
  template <typename T>
  static SharedValue of(const T& value) {
    detail::GrowingWriter writer;
    msgpack::packer<detail::GrowingWriter>(writer).pack(value);
    return std::make_shared<const PackedValue>(std::move(writer).take());
  }

  /// A copy of bytes that a peer sent, checked against the limits. Throws sluice::error with a code of codec::errc.
  static SharedValue check(std::span<const std::byte> bytes, const DecodeOptions& limits);

  std::span<const std::byte> bytes() const noexcept { return bytes_; }

  /// The value's tree, made when it is asked for first. Throws sluice::error if the bytes are no value, or one that
  /// is nested deeper than kDeepestLevel.
  const msgpack::object& root() const;

  /// Deltas to this value, made once for all streams.
  detail::DeltaCache& deltas() const noexcept { return deltas_; }

 private:
  std::vector<std::byte> bytes_;
  mutable std::once_flag parsed_;  // guards the making of tree_
  mutable ObjectTree tree_;
  mutable detail::DeltaCache deltas_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop
