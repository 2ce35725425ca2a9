// Where the blocks of a stream come from, as one type: ranges, generators, callbacks, descriptors, istreams.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <istream>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Gives the next piece of data, valid until the next call; nothing at the end. May throw: then the stream
/// fails, the peer is told what() and the exception comes out of send().
using BlockSource = std::function<std::optional<std::span<const std::byte>>()>;

/// Something whose bytes can be sent as they lie in memory: spans, vectors, strings, arrays of plain values.
template <typename T>
concept ByteBlock = std::ranges::contiguous_range<T> && std::ranges::sized_range<T> &&
    (std::is_arithmetic_v<std::ranges::range_value_t<T>> || std::is_enum_v<std::ranges::range_value_t<T>>);

/// A range or generator of such.
template <typename R>
concept BlockRangeLike = std::ranges::input_range<R> && ByteBlock<std::ranges::range_reference_t<R>>;

/// How much a descriptor or an istream is read at once if no block size is asked for.
inline constexpr std::size_t kReadBytes = 65536;

namespace ipc {

template <ByteBlock T>
std::span<const std::byte> bytes_of_block(T&& block) {
  return std::as_bytes(std::span(std::ranges::data(block), std::ranges::size(block)));
}

}  // namespace ipc

/// Reads a descriptor (which stays the caller's) to its end, `read_bytes` at a time at most. Waits for its
/// input as long as that takes, whatever becomes of the stream: see PortStream::send_from and wait_for_input
/// for one that may be silent. Throws a system error for what read() refuses.
BlockSource read_blocks(int fd, std::size_t read_bytes = kReadBytes);
/// The same of an istream; throws std::ios_base::failure if it goes bad.
BlockSource read_blocks(std::istream& input, std::size_t read_bytes = kReadBytes);

}  // namespace sluice

#pragma GCC visibility pop
