// What the two sides of a transfer over shared memory tell each other before the content. Numbers are
// little-endian.
//
//   receiver:  there   offset  bytes
//                      0       8   "SLUICE\0P"
//                      8       8   bytes that it has of an earlier run
//                      16      32  their SHA-256
//   sender:    start   0       8   "SLUICE\0T"
//                      8       8   where the content goes on: what is there, if it begins the content; or 0
//                      16      8   bytes of the whole content, as far as known: all bits set if not
//                      24      32  which file it is: SHA-256 of its device, inode, size and time; zeros if none
//
// Then comes a port stream of the content from there on (see port_stream.hpp), and another one from the
// receiver: the verdict. It is empty if the content stands under its name, else an ERROR says why it doesn't.
// Over standard input and output, where other programs may be at the other end, there are only the streams.
#pragma once

#include <fmt/core.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <type_traits>

#include "sha256.hpp"

namespace sluice::tools {

inline constexpr std::uint64_t kUnknownBytes = ~std::uint64_t{0};

// The structures are the messages, byte for byte.

struct WhatIsThere {
  static constexpr std::array<char, 8> kMagic{'S', 'L', 'U', 'I', 'C', 'E', '\0', 'P'};
  std::array<char, 8> magic = kMagic;
  std::uint64_t bytes = 0;
  Sha256Digest digest{};
};

struct TransferStart {
  static constexpr std::array<char, 8> kMagic{'S', 'L', 'U', 'I', 'C', 'E', '\0', 'T'};
  std::array<char, 8> magic = kMagic;
  std::uint64_t offset = 0;
  std::uint64_t content_bytes = kUnknownBytes;  // for the progress only
  Sha256Digest file{};
};

static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(WhatIsThere) == 48 && sizeof(TransferStart) == 56);

template <class Message>
std::span<const std::byte> bytes_of(const Message& message) {
  static_assert(std::has_unique_object_representations_v<Message>);
  return std::as_bytes(std::span(&message, 1));
}

/// Throws std::runtime_error if it is another message. The bytes may be the peer's memory: they are read
/// once.
template <class Message>
Message decoded(std::span<const std::byte> bytes, const std::string& peer) {
  Message message;
  if (bytes.size() == sizeof message) std::memcpy(&message, bytes.data(), sizeof message);
  if (bytes.size() == sizeof message && message.magic == Message::kMagic) return message;
  throw std::runtime_error(
      fmt::format("the {} is no sluice command: expected a first message of {} bytes that begins with "
                  "\"{}\", got another "
                  "one of {} bytes",
                  peer, sizeof message, Message::kMagic.data(), bytes.size()));
}

}  // namespace sluice::tools
