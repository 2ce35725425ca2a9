// The tree of a value that deltas change.
#pragma once

#include <cstddef>
#include <memory>
#include <msgpack.hpp>
#include <span>
#include <unordered_map>
#include <vector>

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/object_tree.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

/// Changes where they are the nodes that a delta names, instead of making the tree anew. A call that throws leaves
/// the value as it was. Throws sluice::error as apply_delta() does. Thread-safety: one thread at a time.
class EditedTree {
 public:
  explicit EditedTree(const DecodeOptions& limits);

  /// Takes the value that a copy of `bytes` is.
  void assign(std::span<const std::byte> bytes);
  /// Takes what `delta` makes of the value. The tree of earlier is no more.
  void apply(std::span<const std::byte> delta);

  const msgpack::object& root() const noexcept { return whole_.root; }
  std::vector<std::byte> pack() const;

 private:
  class Edit;

  /// How much a value is.
  struct Size {
    std::size_t elements = 0;
    std::size_t bytes = 0;  // packed
  };

  /// A value and the memory that it stands in.
  struct Whole {
    std::vector<std::byte> bytes;
    ObjectTree tree;  // of bytes; its nodes are edited
    msgpack::object root;
    Size size;              // counted before the first edit
    std::size_t waste = 0;  // bytes that may be held without use: at least as many as are
    std::unique_ptr<msgpack::zone> added = std::make_unique<msgpack::zone>();  // values that came in deltas
    /// Entries of containers that were given more or fewer, by their place. (A map's are twice as many values.)
    std::unordered_map<const msgpack::object*, std::vector<msgpack::object>> resized;
  };

  static Size size_of(const msgpack::object& value);

  DecodeOptions limits_;
  Whole whole_;
  std::vector<std::byte> delta_bytes_;  // of the last delta, and its tree: memory that is kept
  ObjectTree delta_;
};

}  // namespace sluice::codec::detail

#pragma GCC visibility pop
