// SHA-256 of bytes that come piece by piece.
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "sluice/base/detail/file_io.hpp"

namespace sluice::tools {

using Sha256Digest = std::array<std::byte, 32>;

/// Not thread-safe.
class Sha256 {
 public:
  Sha256() { must(context_ ? EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) : 0); }

  void update(std::span<const std::byte> bytes) {
    must(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
  }
  /// Adds the beginning of a file, `most` bytes if it has as many. Returns how many it had. Throws the
  /// system's error, with the file's name.
  std::uint64_t update_from(int fd, std::uint64_t most, const std::string& name) {
    std::vector<std::byte> room(std::min<std::uint64_t>(most, 1U << 20U));
    for (std::uint64_t done = 0;;) {
      const auto part = std::span(room).first(std::min<std::uint64_t>(room.size(), most - done));
      const std::size_t count = base::read_all_at(fd, part, done, name);
      update(part.first(count));
      done += count;
      if (count < part.size() || done == most) return done;
    }
  }
  /// Of everything so far.
  Sha256Digest digest() const {
    Sha256 copy;
    Sha256Digest digest;
    must(EVP_MD_CTX_copy_ex(copy.context_.get(), context_.get()));
    must(EVP_DigestFinal_ex(copy.context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
    return digest;
  }

 private:
  static void must(int result) {
    if (result != 1) throw std::runtime_error("OpenSSL can't compute SHA-256");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

}  // namespace sluice::tools
