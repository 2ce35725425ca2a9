// SHA-256 of a stream, readable at any point of it.
#pragma once

#include <fmt/core.h>
#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

namespace demo {

using Digest = std::array<std::byte, 32>;

inline std::string to_hex(const Digest& digest) {
  std::string text;
  for (const std::byte byte : digest) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

/// Not thread-safe.
class RunningDigest {
 public:
  RunningDigest() { restart(); }

  void restart() { must(EVP_DigestInit_ex(running_.get(), EVP_sha256(), nullptr)); }
  void update(std::span<const std::byte> bytes) {
    must(EVP_DigestUpdate(running_.get(), bytes.data(), bytes.size()));
  }
  /// Of everything since the start or the last restart.
  Digest so_far() const {
    Digest digest;
    must(EVP_MD_CTX_copy_ex(copy_.get(), running_.get()));
    must(EVP_DigestFinal_ex(copy_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
    return digest;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  static void must(int result) {
    if (result != 1) throw std::runtime_error("OpenSSL can't compute SHA-256");
  }

  std::unique_ptr<EVP_MD_CTX, Free> running_{EVP_MD_CTX_new()};
  std::unique_ptr<EVP_MD_CTX, Free> copy_{
      EVP_MD_CTX_new()};  // what so_far() finishes, so that running_ goes on
};

}  // namespace demo
