// The floor of everything sealed: OpenSSL's AES-256-GCM in a bare loop, chunk after chunk, a nonce for each.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

namespace sluice::bench {

class EvpLoop {
 public:
  static constexpr std::size_t kTagBytes = 16;

  enum class Direction : std::uint8_t { open, seal };

  explicit EvpLoop(Direction direction)
      : seals_(direction == Direction::seal), context_(EVP_CIPHER_CTX_new()) {
    const std::array<unsigned char, 32> key{1, 2, 3};
    require(context_ != nullptr);
    require(EVP_CipherInit_ex(context_, EVP_aes_256_gcm(), nullptr, key.data(), nullptr, seals_ ? 1 : 0) ==
            1);
  }
  EvpLoop(const EvpLoop&) = delete;
  EvpLoop& operator=(const EvpLoop&) = delete;
  ~EvpLoop() { EVP_CIPHER_CTX_free(context_); }

  /// Whole chunks of plaintext into chunks with tags behind them; the first has this number.
  void seal(std::span<const std::byte> plain, std::span<std::byte> sealed, std::size_t chunk,
            std::uint64_t number = 0) {
    for (; !plain.empty(); ++number) {
      one(number, plain.data(), sealed.data(), chunk);
      int count = 0;
      auto* tag = raw(sealed.data() + chunk);
      require(EVP_EncryptFinal_ex(context_, tag, &count) == 1);
      require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1);
      plain = plain.subspan(chunk);
      sealed = sealed.subspan(chunk + kTagBytes);
    }
  }

  /// The way back; throws where a tag is wrong.
  void open(std::span<const std::byte> sealed, std::span<std::byte> plain, std::size_t chunk,
            std::uint64_t number = 0) {
    for (; !plain.empty(); ++number) {
      one(number, sealed.data(), plain.data(), chunk);
      std::array<unsigned char, kTagBytes> tag{};
      std::memcpy(tag.data(), sealed.data() + chunk, kTagBytes);
      require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1);
      int count = 0;
      require(EVP_DecryptFinal_ex(context_, tag.data(), &count) == 1);
      plain = plain.subspan(chunk);
      sealed = sealed.subspan(chunk + kTagBytes);
    }
  }

 private:
  static unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
  static void require(bool good) {
    if (!good) throw std::runtime_error("the bare EVP loop failed");
  }

  void one(std::uint64_t number, const std::byte* in, std::byte* out, std::size_t size) {
    std::array<unsigned char, 12> nonce{};
    std::memcpy(nonce.data(), &number, sizeof(number));
    int count = 0;
    require(EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, nonce.data(), -1) == 1);
    require(EVP_CipherUpdate(context_, raw(out), &count, reinterpret_cast<const unsigned char*>(in),
                             static_cast<int>(size)) == 1);
  }

  bool seals_;
  EVP_CIPHER_CTX* context_;
};

}  // namespace sluice::bench
