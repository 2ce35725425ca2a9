#include "running_digest.hpp"

#include <fmt/core.h>

#include <stdexcept>

namespace demo {
namespace {

void must(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL can't compute SHA-256");
}

}  // namespace

std::string to_hex(const Digest& digest) {
  std::string text;
  for (const std::byte byte : digest) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

RunningDigest::RunningDigest() : running_(EVP_MD_CTX_new()), copy_(EVP_MD_CTX_new()) {
  if (!running_ || !copy_) throw std::bad_alloc();
  restart();
}

void RunningDigest::restart() {
  must(EVP_DigestInit_ex(running_.get(), EVP_sha256(), nullptr));
}

void RunningDigest::update(std::span<const std::byte> bytes) {
  must(EVP_DigestUpdate(running_.get(), bytes.data(), bytes.size()));
}

Digest RunningDigest::so_far() const {
  must(EVP_MD_CTX_copy_ex(copy_.get(), running_.get()));
  Digest digest;
  must(EVP_DigestFinal_ex(copy_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
  return digest;
}

}  // namespace demo
