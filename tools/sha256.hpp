// SHA-256 of bytes that come piece by piece, and of a file.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace sluice::tools {

using Sha256Digest = std::array<std::byte, 32>;

/// Not thread-safe.
class Sha256 {
 public:
  Sha256();

  void update(std::span<const std::byte> bytes);
  /// The digest of everything. Once only, and last.
  Sha256Digest finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

/// The digest of an open file's first `count` bytes, which it must have. Throws the system's error, with
/// `what` as the object.
Sha256Digest sha256_of_file(int fd, std::uint64_t count, const std::string& what);

}  // namespace sluice::tools
