#include "sluice/crypto/key/secret_key.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "hex.hpp"
#include "hkdf.hpp"
#include "secure_buffer.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::string_view kKeyIdInfo = "AGCM v2 key id";

constexpr std::size_t kArgonStackBytes = std::size_t{32} << 10U;

KeyId derive_id(std::span<const std::byte> key) {
  KeyId id;
  hkdf_expand(key, {std::as_bytes(std::span(kKeyIdInfo))}, id.bytes);
  return id;
}

void check(const PassphraseParameters& parameters) {
  const auto refuse = [](const char* what, std::uint32_t least, std::uint32_t most, std::uint32_t came) {
    throw error(sluice::errc::bad_option, std::string("passphrase ") + what + ": expected " +
                                              std::to_string(least) + " .. " + std::to_string(most) +
                                              ", got " + std::to_string(came));
  };
  using P = PassphraseParameters;
  if (parameters.memory_kib < P::kMinMemoryKib || parameters.memory_kib > P::kMaxMemoryKib) {
    refuse("memory in KiB", P::kMinMemoryKib, P::kMaxMemoryKib, parameters.memory_kib);
  }
  if (parameters.passes < 1 || parameters.passes > P::kMaxPasses) {
    refuse("passes", 1, P::kMaxPasses, parameters.passes);
  }
}

}  // namespace

std::string KeyId::to_hex() const {
  return hex(bytes);
}

PassphraseParameters PassphraseParameters::with_random_salt() {
  PassphraseParameters parameters;
  fill_random(parameters.salt);
  return parameters;
}

SecretKey::SecretKey(std::unique_ptr<SecureBuffer> memory)
    : memory_(std::move(memory)), id_(derive_id(memory_->bytes())) {
  memory_->make_readonly();
}

SecretKey::SecretKey(SecretKey&&) noexcept = default;
SecretKey& SecretKey::operator=(SecretKey&&) noexcept = default;
SecretKey::~SecretKey() = default;

SecretKey SecretKey::generate() {
  auto memory = std::make_unique<SecureBuffer>(kSize);
  fill_random(memory->bytes());
  return SecretKey(std::move(memory));
}

SecretKey SecretKey::from_bytes(std::span<const std::byte> bytes) {
  if (bytes.size() != kSize) {
    throw error(sluice::errc::bad_option, "key: expected 32 bytes, got " + std::to_string(bytes.size()));
  }
  auto memory = std::make_unique<SecureBuffer>(kSize);
  std::ranges::copy(bytes, memory->bytes().begin());
  return SecretKey(std::move(memory));
}

SecretKey SecretKey::from_passphrase(std::string_view passphrase, const PassphraseParameters& parameters) {
  check(parameters);
  static_assert(crypto_pwhash_argon2id_SALTBYTES == sizeof(parameters.salt));
  auto memory = std::make_unique<SecureBuffer>(kSize);
  const int result = crypto_pwhash_argon2id(
      reinterpret_cast<unsigned char*>(memory->bytes().data()), kSize, passphrase.data(), passphrase.size(),
      reinterpret_cast<const unsigned char*>(parameters.salt.data()), parameters.passes,
      std::size_t{parameters.memory_kib} * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13);
  sodium_stackzero(kArgonStackBytes);  // libsodium's Argon2 leaves its output behind there
  if (result != 0) throw std::bad_alloc();
  return SecretKey(std::move(memory));
}

std::span<const std::byte, SecretKey::kSize> SecretKey::bytes() const {
  return std::span<const std::byte, kSize>(std::as_const(base::held(memory_, "a key")).bytes().data(), kSize);
}

std::array<std::byte, 16> SecretKey::tag(std::string_view purpose, std::span<const std::byte> text) const {
  constexpr std::array<std::byte, 1> kEnd{};
  std::array<std::byte, 16> tag;
  hkdf_expand(bytes(), {std::as_bytes(std::span(purpose)), kEnd, text}, tag);
  return tag;
}

bool SecretKey::locked() const {
  return base::held(memory_, "a key").locked();
}

}  // namespace sluice::crypto
