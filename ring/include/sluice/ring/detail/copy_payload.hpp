// Copying a payload into the ring with the right instructions for its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#pragma GCC visibility push(default)

namespace sluice::ring {

/// 16 bytes in a register. An array would go through memory.
using Block16 [[gnu::vector_size(16)]] = std::uint64_t;

template <typename Block>
Block load_block(const std::byte* from) noexcept {
  Block block;
  std::memcpy(&block, from, sizeof block);
  return block;
}

template <typename Block>
void store_block(std::byte* to, Block block) noexcept {
  std::memcpy(to, &block, sizeof block);
}

/// Copies `bytes` bytes, 1 to 2 blocks: the first block and the last one, which may overlap.
template <typename Block>
void copy_ends(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  const std::size_t last = bytes - sizeof(Block);
  const auto front = load_block<Block>(from);
  const auto back = load_block<Block>(from + last);
  store_block(to + last, back);
  store_block(to, front);
}

/// In a source file of its own: inlined, the compiler would see it reached with small objects, and warn.
void copy_large_payload(std::byte* to, const std::byte* from, std::size_t bytes) noexcept;

/// Small messages are copied in place of a call, which costs more than their copy.
inline void copy_payload(std::byte* to, std::span<const std::byte> message) noexcept {
  const std::byte* from = message.data();
  const std::size_t bytes = message.size();
  if (bytes > 64) {
    copy_large_payload(to, from, bytes);
  } else if (bytes > 32) [[likely]] {
    const std::size_t last = bytes - 32;
    copy_ends<Block16>(to + last, from + last, 32);
    copy_ends<Block16>(to, from, 32);
  } else if (bytes >= 16) {
    copy_ends<Block16>(to, from, bytes);
  } else if (bytes >= 8) {
    copy_ends<std::uint64_t>(to, from, bytes);
  } else if (bytes >= 4) {
    copy_ends<std::uint32_t>(to, from, bytes);
  } else {
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i];
  }
}

/// One behind the other.
inline void copy_payload(std::byte* to, std::span<const std::byte> head,
                         std::span<const std::byte> body) noexcept {
  copy_payload(to, head);
  copy_payload(to + head.size(), body);
}

}  // namespace sluice::ring

#pragma GCC visibility pop
