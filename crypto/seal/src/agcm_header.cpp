#include "sluice/crypto/seal/agcm_header.hpp"

#include <algorithm>
#include <string>

#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

std::string expected(const std::string& what, std::uint64_t came) {
  return "AGCM header: expected " + what + ", got " + std::to_string(came);
}

}  // namespace

std::array<std::byte, AgcmHeader::kSize> AgcmHeader::encode() const {
  std::array<std::byte, kSize> bytes{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), bytes.begin());
  base::store_le(bytes, 4, kVersion);
  std::copy_n(salt.begin(), 12, bytes.begin() + 8);
  base::store_le(bytes, 20, chunk_bytes);
  std::copy_n(salt.begin() + 12, 12, bytes.begin() + 24);
  base::store_le(bytes, 36, kAlgorithm);
  base::store_le(bytes, 38, std::uint16_t{0});
  std::ranges::copy(key_id.bytes, bytes.begin() + 40);
  std::ranges::copy(commitment, bytes.begin() + kBoundSize);
  return bytes;
}

AgcmHeader AgcmHeader::decode(std::span<const std::byte> bytes) {
  if (bytes.size() >= 4 && !std::ranges::equal(bytes.first(4), std::as_bytes(std::span(kMagic)))) {
    throw error(errc::bad_magic, "AGCM header: expected \"AGCM\" at the start");
  }
  if (bytes.size() >= 8) {
    const auto version = base::load_le<std::uint32_t>(bytes, 4);
    if (version != kVersion) throw error(errc::bad_version, expected("version 2", version));
  }
  if (bytes.size() < kSize) throw error(errc::short_header, expected("88 bytes", bytes.size()));

  AgcmHeader header;
  header.chunk_bytes = base::load_le<std::uint32_t>(bytes, 20);
  if (!is_agcm_chunk_size(header.chunk_bytes)) {
    throw error(errc::bad_chunk_size,
                expected("a chunk size of 4096 .. 8388608, a power of two", header.chunk_bytes));
  }
  const auto algorithm = base::load_le<std::uint16_t>(bytes, 36);
  if (algorithm != kAlgorithm) throw error(errc::bad_algorithm, expected("algorithm 1", algorithm));
  const auto flags = base::load_le<std::uint16_t>(bytes, 38);
  if (flags != 0) throw error(errc::bad_flags, expected("flags 0", flags));
  std::ranges::copy(bytes.subspan(8, 12), header.salt.begin());
  std::ranges::copy(bytes.subspan(24, 12), header.salt.begin() + 12);
  std::ranges::copy(bytes.subspan(40, 16), header.key_id.bytes.begin());
  std::ranges::copy(bytes.subspan(kBoundSize, 32), header.commitment.begin());
  return header;
}

}  // namespace sluice::crypto
