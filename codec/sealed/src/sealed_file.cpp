#include "sealed_file.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "sluice/codec/error.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/streaming_encryptor.hpp"

namespace sluice::codec {

SealedFile::SealedFile(Descriptor file, std::string name, const crypto::Keys& keys,
                       const std::string& context)
    : file_(std::move(file)),
      name_(std::move(name)),
      source_(file_.get(), name_),
      decryptor_(crypto::naming(
          name_, [&] { return crypto::StreamingDecryptor(source_, keys, {.context = context}); })) {}

void SealedFile::read(std::span<std::byte> into) {
  const std::size_t count = crypto::naming(name_, [&] { return decryptor_.read(into); });
  if (count == into.size()) return;
  throw error(errc::cut_off, name_ + ": expected at least " + std::to_string(into.size()) + " bytes, got " +
                                 std::to_string(count));
}

std::vector<std::byte> SealedFile::read_rest(std::size_t most) {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) throw_errno("fstat " + name_);
  // The plaintext is shorter than the file; one byte more than it may be is enough to tell that it is longer.
  const std::size_t room = std::min(static_cast<std::size_t>(status.st_size), most + 1);
  std::vector<std::byte> bytes(room);
  crypto::naming(name_, [&] {
    bytes.resize(decryptor_.read(bytes));
    if (bytes.size() > most)
      throw error(errc::too_large, name_ + ": expected at most " + std::to_string(most) + " bytes");
    decryptor_.close();
  });
  return bytes;
}

void write_sealed(base::AtomicFile& file, const crypto::SecretKey& key, const std::string& context,
                  std::span<const std::byte> head, std::span<const std::byte> body) {
  crypto::AtomicFileSink sink(file);
  crypto::StreamingEncryptor encryptor(sink, key, {.context = context});
  encryptor.write(head);
  encryptor.write(body);
  encryptor.close();
}

}  // namespace sluice::codec
