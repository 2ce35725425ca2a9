// SHA-256 of bytes that come piece by piece.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>

namespace sluice::tools {

using Sha256Digest = std::array<std::byte, 32>;

/// Not thread-safe.
class Sha256 {
 public:
  Sha256() { must(context_ ? EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) : 0); }

  void update(std::span<const std::byte> bytes) {
    must(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
  }
  /// The digest of everything. Once only, and last.
  Sha256Digest finish() {
    Sha256Digest digest;
    must(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
    return digest;
  }

 private:
  static void must(int result) {
    if (result != 1) throw std::runtime_error("OpenSSL can't compute SHA-256");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

}  // namespace sluice::tools
