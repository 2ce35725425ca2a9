#include "stream_start.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "c2sp_header.hpp"
#include "hkdf.hpp"
#include "legacy_v1.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::string_view kAgcmInfo = "AGCM v2+AEAD_AES_256_GCM";

StreamKeys derive(std::string_view label, const SecretKey& key, std::span<const std::byte> bound_header,
                  const std::string& context) {
  const std::byte zero{0};
  StreamKeys keys;
  hkdf_expand(key.bytes(),
              {std::as_bytes(std::span(label)), {&zero, 1}, bound_header, std::as_bytes(std::span(context))},
              keys.memory.bytes());
  return keys;
}

StreamStart seal_agcm(const SecretKey& key, const SealOptions& options, const Salt& salt) {
  AgcmHeader header;
  header.salt = salt;
  header.chunk_bytes = chosen_chunk_size(options);
  header.key_id = key.id();
  auto bytes = header.encode();
  auto keys = derive(kAgcmInfo, key, std::span(bytes).first(AgcmHeader::kBoundSize), options.context);
  std::ranges::copy(keys.commitment(), bytes.begin() + AgcmHeader::kBoundSize);
  return {.header = {bytes.begin(), bytes.end()}, .chunk_bytes = header.chunk_bytes, .keys = std::move(keys)};
}

StreamStart seal_c2sp(const SecretKey& key, const SealOptions& options, const Salt& salt) {
  StreamStart start{.header = {},
                    .chunk_bytes = chosen_chunk_size(options),
                    .keys = derive(C2spHeader::kInfo, key, salt, options.context)};
  start.header.assign(salt.begin(), salt.end());
  const auto commitment = start.keys.commitment();
  start.header.insert(start.header.end(), commitment.begin(), commitment.end());
  return start;
}

StreamStart open_legacy(std::vector<std::byte> header, const Keys& keys, const OpenOptions& options) {
  if (!options.allow_legacy_v1) {
    throw error(errc::legacy_refused,
                "AGCM version 1 isn't protected against forged, reordered or dropped chunks; "
                "ask for the legacy reader to migrate it");
  }
  const auto decoded = LegacyV1Header::decode(header);
  const auto all = keys.all();
  if (all.size() != 1) throw error(errc::unknown_key, "AGCM version 1 names no key; give exactly one");
  StreamStart start;
  start.legacy_v1 = true;
  start.chunk_bytes = decoded.chunk_bytes;
  const auto memory = start.keys.memory.bytes();
  std::ranges::copy(all.front()->bytes(), memory.begin());
  std::ranges::copy(decoded.nonce, memory.begin() + StreamKeys::kKeySize);
  start.header = std::move(header);
  return start;
}

StreamStart open_agcm(ByteSource& source, const Keys& keys, const OpenOptions& options) {
  constexpr std::size_t kUpToVersion = 8;
  std::vector<std::byte> bytes(AgcmHeader::kSize);
  std::size_t count = read_full(source, std::span(bytes).first(kUpToVersion));
  const bool legacy =
      count == kUpToVersion &&
      std::ranges::equal(std::span(bytes).first(4), std::as_bytes(std::span(AgcmHeader::kMagic))) &&
      base::load_le<std::uint32_t>(bytes, 4) == LegacyV1Header::kVersion;
  if (legacy) bytes.resize(LegacyV1Header::kSize);
  if (count == kUpToVersion) count += read_full(source, std::span(bytes).subspan(count));
  bytes.resize(count);
  if (legacy) return open_legacy(std::move(bytes), keys, options);

  const auto header = AgcmHeader::decode(bytes);
  const SecretKey* key = keys.find(header.key_id);
  if (key == nullptr) {
    throw error(errc::unknown_key,
                "AGCM header: sealed with key " + header.key_id.to_hex() + ", which wasn't given");
  }
  auto keys_of_stream =
      derive(kAgcmInfo, *key, std::span(bytes).first(AgcmHeader::kBoundSize), options.context);
  if (!equal_in_constant_time(keys_of_stream.commitment(), header.commitment)) throw_not_authentic();
  return {.header = std::move(bytes), .chunk_bytes = header.chunk_bytes, .keys = std::move(keys_of_stream)};
}

StreamStart open_c2sp(ByteSource& source, const Keys& keys, const OpenOptions& options) {
  std::vector<std::byte> bytes(C2spHeader::kSize);
  const std::size_t count = read_full(source, bytes);
  if (count < bytes.size()) {
    throw error(errc::short_header, "C2SP header: expected 56 bytes, got " + std::to_string(count));
  }
  const auto salt = std::span(bytes).first(C2spHeader::kSaltSize);
  const auto commitment = std::span(bytes).subspan(C2spHeader::kSaltSize);
  for (const SecretKey* key : keys.all()) {
    auto keys_of_stream = derive(C2spHeader::kInfo, *key, salt, options.context);
    if (!equal_in_constant_time(keys_of_stream.commitment(), commitment)) continue;
    return {
        .header = std::move(bytes), .chunk_bytes = C2spHeader::kChunkSize, .keys = std::move(keys_of_stream)};
  }
  throw_not_authentic();
}

}  // namespace

std::uint32_t chosen_chunk_size(const SealOptions& options) {
  const auto refuse = [&](const std::string& expected) {
    throw error(sluice::errc::bad_option,
                "chunk size: expected " + expected + ", got " + std::to_string(options.chunk_bytes));
  };
  if (options.format == Format::c2sp) {
    if (options.chunk_bytes != 0 && options.chunk_bytes != C2spHeader::kChunkSize)
      refuse("16384 for format c2sp");
    return C2spHeader::kChunkSize;
  }
  if (options.chunk_bytes == 0) return AgcmHeader::kDefaultChunkSize;
  if (!is_agcm_chunk_size(options.chunk_bytes)) refuse("a power of two, 4096 .. 8388608");
  return options.chunk_bytes;
}

StreamStart start_sealing(const SecretKey& key, const SealOptions& options, const std::optional<Salt>& salt) {
  Salt fresh{};
  if (salt) {
    fresh = *salt;
  } else {
    fill_random(fresh);
  }
  return options.format == Format::c2sp ? seal_c2sp(key, options, fresh) : seal_agcm(key, options, fresh);
}

StreamStart start_opening(ByteSource& source, const Keys& keys, const OpenOptions& options) {
  return options.format == Format::c2sp ? open_c2sp(source, keys, options) : open_agcm(source, keys, options);
}

void throw_not_authentic() {
  throw error(errc::not_authentic, "wrong key or context, or the data was changed, cut or reordered");
}

}  // namespace sluice::crypto
