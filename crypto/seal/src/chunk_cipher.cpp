#include "chunk_cipher.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cassert>
#include <new>
#include <string>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"

namespace sluice::crypto {
namespace {

const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

unsigned char* raw(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

// Only a broken OpenSSL gets here: no argument of ours can make these calls fail.
void require(int result, const char* call) {
  if (result != 1)
    throw error(std::make_error_code(std::errc::io_error), std::string("OpenSSL: ") + call + " failed");
}

int checked_size(std::span<const std::byte> bytes) {
  assert(bytes.size() < (std::size_t{1} << 30));  // chunk and record sizes are bounded far below
  return static_cast<int>(bytes.size());
}

}  // namespace

struct ChunkCipher::Context {
  EVP_CIPHER_CTX* evp = EVP_CIPHER_CTX_new();
  bool seals;

  explicit Context(bool sealing) : seals(sealing) {
    if (evp == nullptr) throw std::bad_alloc();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_CIPHER_CTX_free(evp); }  // zeroes the key schedule
};

ChunkCipher::ChunkCipher(Direction direction, std::span<const std::byte> key,
                         std::span<const std::byte> base_nonce)
    : context_(std::make_unique<Context>(direction == Direction::seal)) {
  assert(key.size() == StreamKeys::kKeySize && base_nonce.size() == base_nonce_.size());
  std::ranges::copy(base_nonce, base_nonce_.begin());
  require(EVP_CipherInit_ex(context_->evp, EVP_aes_256_gcm(), nullptr, raw(key.data()), nullptr,
                            context_->seals ? 1 : 0),
          "EVP_CipherInit_ex");
}

ChunkCipher::ChunkCipher(ChunkCipher&&) noexcept = default;
ChunkCipher& ChunkCipher::operator=(ChunkCipher&&) noexcept = default;
ChunkCipher::~ChunkCipher() = default;

void ChunkCipher::set_nonce(std::uint64_t number) {
  owner_.check("a cipher of a sealed stream");
  if (number >= kMaxChunks) throw error(errc::too_long, "a stream has at most 2^32 chunks");
  auto nonce = base_nonce_;
  for (std::size_t i = 0; i < 8; ++i)
    nonce[nonce.size() - 1 - i] ^= static_cast<std::byte>(number >> (8 * i));
  require(EVP_CipherInit_ex(context_->evp, nullptr, nullptr, nullptr, raw(nonce.data()), -1),
          "setting the nonce");
}

void ChunkCipher::seal(std::uint64_t number, std::span<const std::byte> plain, std::span<std::byte> sealed,
                       std::span<const std::byte> associated) {
  assert(context_->seals && sealed.size() == plain.size() + kTagSize);
  set_nonce(number);
  EVP_CIPHER_CTX* evp = context_->evp;
  int count = 0;
  if (!associated.empty()) {
    require(EVP_EncryptUpdate(evp, nullptr, &count, raw(associated.data()), checked_size(associated)),
            "sealing");
  }
  if (!plain.empty()) {
    require(EVP_EncryptUpdate(evp, raw(sealed.data()), &count, raw(plain.data()), checked_size(plain)),
            "sealing");
  }
  std::byte* tag = sealed.data() + plain.size();
  require(EVP_EncryptFinal_ex(evp, raw(tag), &count), "sealing");
  require(EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag), "EVP_CTRL_AEAD_GET_TAG");
}

bool ChunkCipher::open(std::uint64_t number, std::span<const std::byte> sealed, std::span<std::byte> plain,
                       std::span<const std::byte> associated) {
  assert(!context_->seals && sealed.size() == plain.size() + kTagSize);
  set_nonce(number);
  EVP_CIPHER_CTX* evp = context_->evp;
  int count = 0;
  if (!associated.empty()) {
    require(EVP_DecryptUpdate(evp, nullptr, &count, raw(associated.data()), checked_size(associated)),
            "opening");
  }
  if (!plain.empty()) {
    require(EVP_DecryptUpdate(evp, raw(plain.data()), &count, raw(sealed.data()), checked_size(plain)),
            "opening");
  }
  // Read only now, when it is the next in line: the cipher has just worked its way up to it.
  std::array<std::byte, kTagSize> tag{};
  std::ranges::copy(sealed.last(kTagSize), tag.begin());
  require(EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()), "EVP_CTRL_AEAD_SET_TAG");
  std::array<std::byte, kTagSize> rest{};
  if (EVP_DecryptFinal_ex(evp, raw(rest.data()), &count) == 1) return true;
  wipe(plain);
  return false;
}

}  // namespace sluice::crypto
