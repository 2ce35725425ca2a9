// The messages of sluice send --resume and sluice recv --resume, over one session (see session.hpp).
//
// The receiver hosts the session, the sender joins it. Numbers are little-endian. From the sender:
//
//   message 1         manifest     offset  bytes
//                                  0       8   "SLUICE\0M"
//                                  8       4   version, 1
//                                  12      4   zero
//                                  16      8   bytes of a block, 1 to 256 MiB
//                                  24      8   bytes of the file
//                                  32      8   when the file was last changed, ns since 1970
//   message k + 2     block k      0       8   its offset in the file: k times the bytes of a block
//                                  8           its bytes: a whole block, the last one what is left
//   the last message  end          0       8   all bits set, where a block has its offset
//                                  8       40  the manifest again
//                                  48      32  SHA-256 of the whole file
//
// From the receiver there is one message: the manifest, as it came, before it releases the sender's.
//
// So a message's number says what it is, and both sides know from the session alone where they are:
// - A sender that was run again goes on behind the last message that its predecessor posted
//   (Port::next_sequence()). It takes back the receiver's one message, which stays in the ring, and stops
//   where its own file or block size is another one.
// - A receiver releases a block when it has been written to its place, and the end when the complete file has
//   its name. One that was run again gets what its predecessor had not released, and writes it once more.
// Bytes that are in the page cache survive a killed process; a session doesn't survive the machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "sha256.hpp"

namespace sluice::tools {

inline constexpr std::uint64_t kManifestMessage = 1;
inline constexpr std::uint64_t kFirstBlockMessage = 2;
inline constexpr std::size_t kBlockHeaderBytes = 8;

struct Manifest {
  std::uint64_t block_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::int64_t changed_ns = 0;

  std::uint64_t blocks() const noexcept { return file_bytes / block_bytes + (file_bytes % block_bytes != 0); }
  std::uint64_t end_message() const noexcept { return kFirstBlockMessage + blocks(); }

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

struct TransferEnd {
  Manifest manifest;
  Sha256Digest digest{};
};

std::string encode(const Manifest& manifest);
std::string encode(const TransferEnd& end);

/// Throw std::runtime_error with what was expected and what came. The bytes may be the peer's memory: each is
/// read once.
Manifest decode_manifest(std::span<const std::byte> message);
TransferEnd decode_end(std::span<const std::byte> message);

/// The offset of a block of at least one byte, which ends before 2^63; nothing where the message is the end.
std::optional<std::uint64_t> decode_block_offset(std::span<const std::byte> message);

/// Puts an offset into a block's first kBlockHeaderBytes.
void encode_block_offset(std::uint64_t offset, std::span<std::byte> message);

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace sluice::tools
