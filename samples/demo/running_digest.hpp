// SHA-256 of a stream, readable at any point of it.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace demo {

using Digest = std::array<std::byte, 32>;

std::string to_hex(const Digest& digest);

/// Not thread-safe.
class RunningDigest {
 public:
  RunningDigest();

  void update(std::span<const std::byte> bytes);
  /// The digest of everything since the start or the last restart.
  Digest so_far() const;
  void restart();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_MD_CTX, Free>;

  Context running_;
  Context copy_;  // what so_far() finishes, so that running_ goes on
};

}  // namespace demo
