#include "secure_buffer.hpp"

#include <sodium.h>

#include <cstring>
#include <new>

#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {

void require_sodium() {
  static const bool started = sodium_init() >= 0;
  if (!started) throw error(std::make_error_code(std::errc::io_error), "libsodium can't be started");
}

SecureBuffer::SecureBuffer(std::size_t size) : size_(size) {
  require_sodium();
  memory_.reset(static_cast<std::byte*>(sodium_malloc(size)));
  if (!memory_) throw std::bad_alloc();
  // sodium_malloc locks too, but keeps quiet when that fails; asking again tells.
  locked_ = sodium_mlock(memory_.get(), size) == 0;
  std::memset(memory_.get(), 0, size);
}

void SecureBuffer::make_readonly() noexcept {
  sodium_mprotect_readonly(memory_.get());
}

void SecureBuffer::Free::operator()(std::byte* memory) const noexcept {
  sodium_free(memory);
}

void wipe(std::span<std::byte> bytes) noexcept {
  if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right) noexcept {
  return left.size() == right.size() && sodium_memcmp(left.data(), right.data(), left.size()) == 0;
}

void fill_random(std::span<std::byte> bytes) {
  require_sodium();
  randombytes_buf(bytes.data(), bytes.size());
}

}  // namespace sluice::crypto
