#include "legacy_v1.hpp"

#include <array>
#include <string>

#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"

namespace sluice::crypto {

LegacyV1Header LegacyV1Header::decode(std::span<const std::byte> bytes) {
  if (bytes.size() < kSize) {
    throw error(errc::short_header,
                "AGCM version 1 header: expected 24 bytes, got " + std::to_string(bytes.size()));
  }
  const auto chunk_bytes = base::load_le<std::uint32_t>(bytes, 20);
  if (chunk_bytes == 0 || chunk_bytes > kMaxChunkSize) {
    throw error(errc::bad_chunk_size, "AGCM version 1 header: expected a chunk size of 1 .. 10485760, got " +
                                          std::to_string(chunk_bytes));
  }
  return {.nonce = bytes.subspan(8, 12), .chunk_bytes = chunk_bytes};
}

std::optional<std::span<const std::byte>> read_legacy_chunk(ByteSource& source, std::span<std::byte> buffer) {
  std::array<std::byte, 4> prefix{};
  const std::size_t count = read_full(source, prefix);
  if (count == 0) return std::nullopt;
  if (count < prefix.size()) throw error(errc::malformed, "AGCM version 1: ends inside a chunk's length");
  const auto size = base::load_le<std::uint32_t>(prefix, 0);
  if (size < kTagSize || size > buffer.size()) {
    throw error(errc::malformed, "AGCM version 1: expected a chunk of 16 .. " +
                                     std::to_string(buffer.size()) + " bytes, got length " +
                                     std::to_string(size));
  }
  const auto chunk = buffer.first(size);
  if (read_full(source, chunk) < size) throw error(errc::malformed, "AGCM version 1: ends inside a chunk");
  return chunk;
}

}  // namespace sluice::crypto
