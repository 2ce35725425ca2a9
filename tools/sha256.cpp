#include "sha256.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <vector>

#include "file_io.hpp"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kStepBytes = 1ULL << 20U;

void must(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL can't compute SHA-256");
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_) throw std::bad_alloc();
  must(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::update(std::span<const std::byte> bytes) {
  must(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  must(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
  return digest;
}

Sha256Digest sha256_of_file(int fd, std::uint64_t count, const std::string& what) {
  Sha256 sha256;
  std::vector<std::byte> room(std::min(count, kStepBytes));
  for (std::uint64_t offset = 0; offset < count;) {
    const auto step = std::span(room).first(std::min<std::uint64_t>(room.size(), count - offset));
    if (read_at(fd, step, offset, what) != step.size()) throw std::runtime_error(what + " was cut short");
    sha256.update(step);
    offset += step.size();
  }
  return sha256.finish();
}

}  // namespace sluice::tools
