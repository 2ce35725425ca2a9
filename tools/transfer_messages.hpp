// The messages of a transfer. Numbers are little-endian.
//
// A plain transfer, from sender to receiver, over a port:
//
//   message 1         start        offset  bytes
//                                  0       8   "SLUICE\0T"
//                                  8       8   bytes of the content, as far as known: all bits set if not
//   then              content              1 or more
//   the last message  end mark             0
//
// sluice send --resume and sluice recv --resume, over one session (see session.hpp). The receiver hosts the
// session, the sender joins it. From the sender:
//
//   message 1         manifest     offset  bytes
//                                  0       8   "SLUICE\0M"
//                                  8       8   bytes of a block, 1 to 256 MiB
//                                  16      8   bytes of the file
//                                  24      8   when the file was last changed, ns since 1970
//   message k + 2     block k      0       8   its offset in the file: k times the bytes of a block
//                                  8           its bytes: a whole block, the last one what is left
//   the last message  end          0       8   all bits set, where a block has its offset
//                                  8       8   bytes of the file
//                                  16      32  SHA-256 of the whole file
//
// From the receiver there is one message: the manifest, as it came, before it releases the sender's.
//
// So a message's number says what it is, and both sides know from the session alone where they are:
// - A sender that was run again goes on behind the last message that its predecessor posted
//   (Port::next_sequence()). It takes back the receiver's one message, which stays in the ring, and stops
//   if its own file or block size is another one.
// - A receiver releases a block when it has been written to its place, and the end when the complete file has
//   its name. One that was run again gets what its predecessor had not released, and writes it once more.
// Bytes that are in the page cache survive a killed process; a session doesn't survive the machine.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "sha256.hpp"

namespace sluice::tools {

inline constexpr std::uint64_t kManifestMessage = 1;
inline constexpr std::uint64_t kFirstBlockMessage = 2;
inline constexpr std::size_t kBlockHeaderBytes = 8;
inline constexpr std::uint64_t kAllBitsSet = ~std::uint64_t{0};

// The structures are the messages, byte for byte.

struct TransferStart {
  std::array<char, 8> magic{'S', 'L', 'U', 'I', 'C', 'E', '\0', 'T'};
  std::uint64_t content_bytes = kAllBitsSet;  // for the progress only
};

struct Manifest {
  std::array<char, 8> magic{'S', 'L', 'U', 'I', 'C', 'E', '\0', 'M'};
  std::uint64_t block_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::int64_t changed_ns = 0;

  std::uint64_t blocks() const noexcept { return file_bytes / block_bytes + (file_bytes % block_bytes != 0); }
  std::uint64_t end_message() const noexcept { return kFirstBlockMessage + blocks(); }

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

struct TransferEnd {
  std::uint64_t mark = kAllBitsSet;
  std::uint64_t file_bytes = 0;
  Sha256Digest digest{};
};

static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(TransferStart) == 16 && sizeof(Manifest) == 32 && sizeof(TransferEnd) == 48);

template <class Message>
std::span<const std::byte> bytes_of(const Message& message) {
  static_assert(std::has_unique_object_representations_v<Message>);
  return std::as_bytes(std::span(&message, 1));
}

/// Throw std::runtime_error with what was expected and what came. The bytes may be the peer's memory: each is
/// read once.
TransferStart decode_start(std::span<const std::byte> message);
Manifest decode_manifest(std::span<const std::byte> message);
TransferEnd decode_end(std::span<const std::byte> message);

/// The offset of a block of at least one byte, which ends before 2^63; nothing if the message is the end.
std::optional<std::uint64_t> decode_block_offset(std::span<const std::byte> message);

}  // namespace sluice::tools
