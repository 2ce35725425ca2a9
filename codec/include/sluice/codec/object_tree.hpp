// One msgpack value, from bytes that aren't trusted.
//
// msgpack-cxx's own unpacker allocates a stack, a zone and, for a container, whatever room the container's
// header claims. This one looks at every length before it is used, takes memory once and keeps it, and checks
// and builds in one pass. What it builds is a msgpack::object, so that everything msgpack-cxx can convert can
// be decoded. The format is https://github.com/msgpack/msgpack/blob/master/spec.md.
#pragma once

#include <cstddef>
#include <memory>
#include <msgpack.hpp>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "sluice/codec/decode_options.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// The values of one message, in memory that is kept for the next. Thread-safety: one thread at a time.
class ObjectTree {
 public:
  ObjectTree() = default;
  ObjectTree(ObjectTree&& other) noexcept
      : root_(std::exchange(other.root_, {})),
        at_(other.at_),
        memory_(std::move(other.memory_)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ObjectTree& operator=(ObjectTree&& other) noexcept {
    if (this == &other) return *this;
    root_ = std::exchange(other.root_, {});
    at_ = other.at_;
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }
  ~ObjectTree() = default;

  /// Builds the tree of the one value that `bytes` hold, all of them. Strings, binaries and extensions point
  /// into `bytes`; root() and everything below it are valid until the next parse. Returns a value of errc if
  /// there's no such value, or if it exceeds a limit; at() tells where. limits.max_depth is at most
  /// kDeepestLevel. Throws std::bad_alloc.
  std::error_code parse(std::span<const std::byte> bytes, const DecodeOptions& limits);

  const msgpack::object& root() const noexcept { return root_; }
  /// The offset of the byte at which the last parse stopped.
  std::size_t at() const noexcept { return at_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { ::operator delete(memory); }
  };

  msgpack::object root_;
  std::size_t at_ = 0;
  std::unique_ptr<std::byte, Free> memory_;  // of all values but the root
  std::size_t capacity_ = 0;                 // values that memory_ can hold
};

/// What a value is, in words, for messages: "array of 3", "string of 12 bytes". Never what it says.
std::string describe(const msgpack::object& value);

}  // namespace sluice::codec

#pragma GCC visibility pop
