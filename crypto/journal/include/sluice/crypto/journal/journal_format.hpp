// The files of a sealed journal: the contract with every journal ever written. All numbers are little-endian.
//
// A journal is a directory of segments "NNNNNNNNNNNNNNNNNNNN.agcj". A segment's name is the sequence number
// of its first record.
//
//   segment header
//   offset  bytes  field
//        0      4  "AGCJ"
//        4      4  version = 1
//        8     16  salt, random
//       24      8  the journal's identity, random
//       32      8  first sequence number
//       40      8  created, ns since 1970 (UTC)
//       48     16  previous: the first 16 bytes of the previous segment's commitment, or 0
//       64     16  key id
//       80      2  algorithm = 1 (AES-256-GCM)
//       82      2  flags = 0
//       84      4  0
//       88     32  commitment
//
//   frame (any number of them follow)
//   offset  bytes  field
//        0      4  length of the plaintext, 4 .. 64 MiB (0: a mark)
//        4      4  records in it, at least 1 (0: a mark)
//        8      8  durable: the segment's bytes before this position were synced when this frame was made
//       16      8  check: SipHash-2-4(check key, frame's offset in the segment (8 bytes) || frame[0..15])
//       24    len  ciphertext
//   24+len     16  tag
//
//   mark: a frame header with length 0 and 0 records, and nothing behind it. It stands among the frames, and says
//   what was durable then. Whoever closes a segment syncs it, writes a mark, and syncs that.
//
//   plaintext: records, each length (4 bytes) || bytes
//
//   key[32] || base_nonce[12] || commitment[32] || check key[16] = HKDF-Expand-SHA-512(input key,
//       "AGCM journal v1+AEAD_AES_256_GCM" 0x00 || header[0..87] || context)
//   frame = AES-256-GCM(key, base_nonce XOR big-endian(offset of the frame),
//       frame[0..23] as associated data, plaintext)
//
// One process writes a segment in one go. Whoever opens a journal to append starts a new segment with a fresh
// salt, so no (key, nonce) is used for two frames, whatever a crash left at the end of the old one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Tells a journal from others with the same key. The file `lock` begins with it.
using JournalId = std::array<std::byte, 8>;

struct SegmentHeader {
  static constexpr std::size_t kSize = 120;
  static constexpr std::size_t kBoundSize = 88;  ///< what the commitment covers
  static constexpr std::string_view kMagic = "AGCJ";
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uint16_t kAlgorithm = 1;

  std::array<std::byte, 16> salt{};
  JournalId journal{};
  std::uint64_t first_sequence = 0;
  std::uint64_t created_ns = 0;
  std::array<std::byte, 16> previous{};
  KeyId key_id;
  std::array<std::byte, 32> commitment{};

  std::array<std::byte, kSize> encode() const;

  /// Checks every field: errc::short_header, bad_magic, bad_version, bad_algorithm or bad_flags.
  static SegmentHeader decode(std::span<const std::byte> bytes);
};

struct FrameHeader {
  static constexpr std::size_t kSize = 24;
  static constexpr std::uint32_t kMaxLength = 64U << 20U;  ///< plaintext bytes of a frame
  static constexpr std::size_t kRecordPrefix = 4;          ///< bytes of a record's length

  std::uint32_t length = 0;
  std::uint32_t records = 0;
  std::uint64_t durable = 0;

  constexpr bool is_mark() const { return length == 0 && records == 0; }
  bool operator==(const FrameHeader&) const = default;
};

/// The last sequence number, so that the next one after it can be told, too.
inline constexpr std::uint64_t kLastSequence = ~std::uint64_t{0} - 1;

/// Offsets in a segment, and so the numbers that make nonces, stay below 2^32.
inline constexpr std::uint64_t kMaxSegmentBytes = std::uint64_t{1} << 31;

}  // namespace sluice::crypto

#pragma GCC visibility pop
