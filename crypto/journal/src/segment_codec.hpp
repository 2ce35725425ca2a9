// Segment headers and frame headers as bytes, and the keys of a segment.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "chunk_cipher.hpp"
#include "secure_buffer.hpp"
#include "sluice/crypto/journal/journal_format.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"

namespace sluice::crypto {

using FrameHeaderBytes = std::array<std::byte, FrameHeader::kSize>;

/// What the header of the next segment names this one by.
std::array<std::byte, 16> link_to(const SegmentHeader& header);

/// What a segment's header and the input key give.
class SegmentKeys {
 public:
  SegmentKeys(const SecretKey& key, std::span<const std::byte> bound_header, const std::string& context);

  ChunkCipher cipher(ChunkCipher::Direction direction) const;
  std::span<const std::byte> commitment() const { return memory_.bytes().subspan(44, 32); }

  /// The keyed check makes a frame header trustworthy before anything is read or allocated from its length.
  FrameHeaderBytes encode(const FrameHeader& header, std::uint64_t offset) const;
  std::optional<FrameHeader> decode(std::span<const std::byte, FrameHeader::kSize> bytes,
                                    std::uint64_t offset) const;

 private:
  std::uint64_t check(std::span<const std::byte> bytes, std::uint64_t offset) const;

  SecureBuffer memory_{92};
};

/// Bytes of a frame with so much plaintext.
constexpr std::uint64_t frame_size(std::uint64_t length) {
  return FrameHeader::kSize + length + kTagSize;
}

/// Bytes of the frame or mark that begins with this.
constexpr std::uint64_t size_of(const FrameHeader& header) {
  return header.is_mark() ? FrameHeader::kSize : frame_size(header.length);
}

}  // namespace sluice::crypto
