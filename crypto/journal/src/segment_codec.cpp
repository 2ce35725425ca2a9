#include "segment_codec.hpp"

#include <sodium.h>

#include <algorithm>
#include <string_view>

#include "hkdf.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::string_view kInfo = "AGCM journal v1+AEAD_AES_256_GCM";

std::string expected(const std::string& what, std::uint64_t came) {
  return "journal segment header: expected " + what + ", got " + std::to_string(came);
}

}  // namespace

std::array<std::byte, SegmentHeader::kSize> SegmentHeader::encode() const {
  std::array<std::byte, kSize> bytes{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), bytes.begin());
  base::store_le(bytes, 4, kVersion);
  std::ranges::copy(salt, bytes.begin() + 8);
  std::ranges::copy(journal, bytes.begin() + 24);
  base::store_le(bytes, 32, first_sequence);
  base::store_le(bytes, 40, created_ns);
  std::ranges::copy(previous, bytes.begin() + 48);
  std::ranges::copy(key_id.bytes, bytes.begin() + 64);
  base::store_le(bytes, 80, kAlgorithm);
  std::ranges::copy(commitment, bytes.begin() + kBoundSize);
  return bytes;
}

SegmentHeader SegmentHeader::decode(std::span<const std::byte> bytes) {
  if (bytes.size() >= 4 && !std::ranges::equal(bytes.first(4), std::as_bytes(std::span(kMagic)))) {
    throw error(errc::bad_magic, "journal segment header: expected \"AGCJ\" at the start");
  }
  if (bytes.size() < kSize) throw error(errc::short_header, expected("120 bytes", bytes.size()));
  const auto version = base::load_le<std::uint32_t>(bytes, 4);
  if (version != kVersion) throw error(errc::bad_version, expected("version 1", version));
  const auto algorithm = base::load_le<std::uint16_t>(bytes, 80);
  if (algorithm != kAlgorithm) throw error(errc::bad_algorithm, expected("algorithm 1", algorithm));
  const auto flags = base::load_le<std::uint16_t>(bytes, 82);
  const auto reserved = base::load_le<std::uint32_t>(bytes, 84);
  if (flags != 0 || reserved != 0) throw error(errc::bad_flags, expected("flags 0", flags | reserved));

  SegmentHeader header;
  std::ranges::copy(bytes.subspan(8, 16), header.salt.begin());
  std::ranges::copy(bytes.subspan(24, 8), header.journal.begin());
  header.first_sequence = base::load_le<std::uint64_t>(bytes, 32);
  header.created_ns = base::load_le<std::uint64_t>(bytes, 40);
  std::ranges::copy(bytes.subspan(48, 16), header.previous.begin());
  std::ranges::copy(bytes.subspan(64, 16), header.key_id.bytes.begin());
  std::ranges::copy(bytes.subspan(kBoundSize, 32), header.commitment.begin());
  return header;
}

std::array<std::byte, 16> link_to(const SegmentHeader& header) {
  std::array<std::byte, 16> link{};
  std::copy_n(header.commitment.begin(), link.size(), link.begin());
  return link;
}

SegmentKeys::SegmentKeys(const SecretKey& key, std::span<const std::byte> bound_header,
                         const std::string& context) {
  const std::byte zero{0};
  hkdf_expand(key.bytes(),
              {std::as_bytes(std::span(kInfo)), {&zero, 1}, bound_header, std::as_bytes(std::span(context))},
              memory_.bytes());
}

ChunkCipher SegmentKeys::cipher(ChunkCipher::Direction direction) const {
  return {direction, memory_.bytes().first(32), memory_.bytes().subspan(32, 12)};
}

std::uint64_t SegmentKeys::check(std::span<const std::byte> bytes, std::uint64_t offset) const {
  std::array<std::byte, 24> message{};
  base::store_le(message, 0, offset);
  std::ranges::copy(bytes.first(16), message.begin() + 8);
  std::array<std::byte, crypto_shorthash_BYTES> result{};
  static_assert(crypto_shorthash_KEYBYTES == 16);
  crypto_shorthash(reinterpret_cast<unsigned char*>(result.data()),
                   reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                   reinterpret_cast<const unsigned char*>(memory_.bytes().data() + 76));
  return base::load_le<std::uint64_t>(result, 0);
}

FrameHeaderBytes SegmentKeys::encode(const FrameHeader& header, std::uint64_t offset) const {
  FrameHeaderBytes bytes{};
  base::store_le(bytes, 0, header.length);
  base::store_le(bytes, 4, header.records);
  base::store_le(bytes, 8, header.durable);
  base::store_le(bytes, 16, check(bytes, offset));
  return bytes;
}

std::optional<FrameHeader> SegmentKeys::decode(std::span<const std::byte, FrameHeader::kSize> bytes,
                                               std::uint64_t offset) const {
  if (base::load_le<std::uint64_t>(bytes, 16) != check(bytes, offset)) return std::nullopt;
  FrameHeader header{.length = base::load_le<std::uint32_t>(bytes, 0),
                     .records = base::load_le<std::uint32_t>(bytes, 4),
                     .durable = base::load_le<std::uint64_t>(bytes, 8)};
  const bool possible = header.is_mark() || (header.records > 0 && header.length <= FrameHeader::kMaxLength &&
                                             header.length / FrameHeader::kRecordPrefix >= header.records);
  if (!possible || header.durable > offset) return std::nullopt;
  return header;
}

}  // namespace sluice::crypto
