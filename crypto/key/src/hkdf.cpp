#include "hkdf.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "secure_buffer.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::size_t kHashSize = crypto_auth_hmacsha512_BYTES;

// Never null, also for empty spans: memcpy is called with it.
const unsigned char* raw(std::span<const std::byte> bytes) {
  static constexpr unsigned char kNothing = 0;
  return bytes.empty() ? &kNothing : reinterpret_cast<const unsigned char*>(bytes.data());
}

// HMAC states hold the key in a padded form: they live in secure memory, not on the stack. Making such memory
// takes several system calls, so each thread keeps one piece and wipes it after use.
class Hmac {
 public:
  Hmac() : memory_(thread_memory().bytes()) {}
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;
  ~Hmac() { wipe(memory_); }

  void start(std::span<const std::byte> key) { crypto_auth_hmacsha512_init(state(), raw(key), key.size()); }
  void add(std::span<const std::byte> bytes) {
    crypto_auth_hmacsha512_update(state(), raw(bytes), bytes.size());
  }
  /// The result; valid until the next finish().
  std::span<const std::byte> finish() {
    const auto result = memory_.subspan(kStateSize, kHashSize);
    crypto_auth_hmacsha512_final(state(), reinterpret_cast<unsigned char*>(result.data()));
    return result;
  }

 private:
  static constexpr std::size_t kStateSize = sizeof(crypto_auth_hmacsha512_state);
  // sodium_malloc puts the end of its memory at a page's end: a multiple of the alignment keeps the start
  // aligned.
  static_assert((kStateSize + kHashSize) % alignof(crypto_auth_hmacsha512_state) == 0);

  static SecureBuffer& thread_memory() {
    thread_local SecureBuffer memory(kStateSize + kHashSize);
    return memory;
  }
  crypto_auth_hmacsha512_state* state() {
    return reinterpret_cast<crypto_auth_hmacsha512_state*>(memory_.data());
  }

  std::span<std::byte> memory_;
};

}  // namespace

void hkdf_extract(std::span<const std::byte> salt, std::span<const std::byte> input_key,
                  std::span<std::byte, 64> prk) {
  Hmac hmac;
  hmac.start(salt);
  hmac.add(input_key);
  std::ranges::copy(hmac.finish(), prk.begin());
}

void hkdf_expand(std::span<const std::byte> prk, std::initializer_list<std::span<const std::byte>> info,
                 std::span<std::byte> output) {
  if (output.size() > 255 * kHashSize) {
    throw error(sluice::errc::bad_option,
                "HKDF-SHA-512 gives at most 16320 bytes, asked for " + std::to_string(output.size()));
  }
  Hmac hmac;
  std::span<const std::byte> block;  // of the round before
  for (std::size_t done = 0, counter = 1; done < output.size(); ++counter) {
    hmac.start(prk);
    hmac.add(block);
    for (const auto part : info) hmac.add(part);
    const auto last = static_cast<std::byte>(counter);
    hmac.add({&last, 1});
    block = hmac.finish();
    const std::size_t count = std::min(kHashSize, output.size() - done);
    std::memcpy(output.data() + done, block.data(), count);
    done += count;
  }
}

}  // namespace sluice::crypto
