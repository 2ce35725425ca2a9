// Records on their way into one frame: laid out where the frame is sealed and written from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "secure_buffer.hpp"
#include "segment_codec.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {

class GroupBuffer {
 public:
  GroupBuffer() = default;
  GroupBuffer(const GroupBuffer&) = delete;
  GroupBuffer& operator=(const GroupBuffer&) = delete;
  ~GroupBuffer() { wipe(bytes_); }

  std::uint32_t records() const { return records_; }
  /// Plaintext bytes with this record added.
  std::size_t length_with(std::size_t record_bytes) const {
    return length_ + FrameHeader::kRecordPrefix + record_bytes;
  }
  std::size_t length() const { return length_; }

  /// If it throws, nothing was added. sluice::errc::misuse if a frame can't hold it with what is here
  /// already: a longer frame would be sealed, but never read again.
  void add(std::span<const std::byte> record) {
    if (length_with(record.size()) > FrameHeader::kMaxLength) {
      throw error(sluice::errc::misuse, "journal frame: expected at most " +
                                            std::to_string(FrameHeader::kMaxLength) + " bytes, got " +
                                            std::to_string(length_with(record.size())));
    }
    const std::size_t at = FrameHeader::kSize + length_;
    const std::size_t needed = FrameHeader::kSize + length_with(record.size()) + kTagSize;
    if (bytes_.size() < needed) grow(needed);
    base::store_le(bytes_, at, static_cast<std::uint32_t>(record.size()));
    std::ranges::copy(record, bytes_.begin() + static_cast<std::ptrdiff_t>(at + FrameHeader::kRecordPrefix));
    length_ = length_with(record.size());
    ++records_;
  }

  /// Seals everything in place as the frame at `offset` and empties the buffer. The result is valid until
  /// add().
  std::span<const std::byte> seal(const SegmentKeys& keys, ChunkCipher& cipher, std::uint64_t offset,
                                  std::uint64_t durable) {
    const auto frame = std::span(bytes_).first(frame_size(length_));
    const auto head = keys.encode(
        {.length = static_cast<std::uint32_t>(length_), .records = records_, .durable = durable}, offset);
    std::ranges::copy(head, frame.begin());
    const auto body = frame.subspan(FrameHeader::kSize);
    cipher.seal(offset, body.first(length_), body, head);
    length_ = 0;
    records_ = 0;
    return frame;
  }

 private:
  void grow(std::size_t needed) {
    std::vector<std::byte> larger(std::max(needed, 2 * bytes_.size()));
    std::ranges::copy(bytes_, larger.begin());
    wipe(bytes_);
    bytes_.swap(larger);
  }

  std::vector<std::byte> bytes_;
  std::size_t length_ = 0;
  std::uint32_t records_ = 0;
};

}  // namespace sluice::crypto
