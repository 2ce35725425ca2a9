// What the crypto tests share: bytes to seal, scratch directories, and expectations about error codes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/secret_key.hpp"
#include "sluice/crypto/seal/options.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"
#include "sluice/crypto/seal/streaming_encryptor.hpp"

namespace sluice::crypto::test {

using Bytes = std::vector<std::byte>;

inline Bytes to_bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

inline Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

/// Bytes that differ everywhere (xorshift32), so that misplaced ones are noticed.
inline Bytes pattern(std::size_t size, std::uint32_t seed = 2463534242U) {
  Bytes bytes(size);
  std::uint32_t x = seed;
  for (auto& byte : bytes) {
    x ^= x << 13U;
    x ^= x >> 17U;
    x ^= x << 5U;
    byte = static_cast<std::byte>(x & 0xffU);
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

/// The code that `work` throws; a test failure and an empty code where it doesn't.
template <typename Work>
std::error_code code_of(Work work) {
  try {
    work();
  } catch (const std::system_error& failure) {
    return failure.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// A directory of this test alone, removed with everything in it; in memory where the system has such a
/// place.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    const std::filesystem::path memory = "/dev/shm";
    const auto parent = ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "sluice-crypto-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::system_category(), name);
    path_ = name;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline Bytes read_file(const std::filesystem::path& path) {
  Bytes bytes(std::filesystem::exists(path) ? std::filesystem::file_size(path) : 0);
  std::ifstream stream(path, std::ios::binary);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(stream.gcount()));
  return bytes;
}

inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace sluice::crypto::test
