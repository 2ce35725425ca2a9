// What the crypto tests share: bytes to seal, a key, and whole streams in memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "scratch_files.hpp"
#include "sluice/crypto.hpp"

namespace sluice::crypto::test {

using sluice::test::scratch::Bytes;
using sluice::test::scratch::code_of;
using sluice::test::scratch::pattern;
using sluice::test::scratch::read_file;
using sluice::test::scratch::ScratchDirectory;
using sluice::test::scratch::to_bytes;
using sluice::test::scratch::write_file;

inline Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

/// The key 00 01 02 .. 1f (first byte changed by `variant`).
inline SecretKey test_key(unsigned variant = 0) {
  Bytes bytes(SecretKey::kSize);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  bytes[0] = static_cast<std::byte>(variant);
  return SecretKey::from_bytes(bytes);
}

inline Bytes seal_bytes(std::span<const std::byte> plain, const SecretKey& key,
                        const SealOptions& options = {}) {
  VectorSink sink;
  StreamingEncryptor encryptor(sink, key, options);
  encryptor.write(plain);
  encryptor.close();
  return sink.release();
}

inline Bytes open_bytes(std::span<const std::byte> sealed, const Keys& keys,
                        const OpenOptions& options = {}) {
  MemorySource source(sealed);
  StreamingDecryptor decryptor(source, keys, options);
  Bytes plain;
  Bytes part(10'000);
  while (const std::size_t count = decryptor.read(part)) {
    plain.insert(plain.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
  }
  decryptor.close();
  return plain;
}

}  // namespace sluice::crypto::test
