// A whole sealed file, read and written.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"

namespace sluice::codec {

/// What is read is authentic, but not known to be all before read_rest().
class SealedFile {
 public:
  /// `file` must be a regular file that nobody writes. Throws as StreamingDecryptor; errors begin with `name`.
  SealedFile(Descriptor file, std::string name, const crypto::Keys& keys, const std::string& context);

  /// Throws errc::cut_off if there is less.
  void read(std::span<std::byte> into);
  /// All up to the end. Throws errc::too_large if there is more than `most`, before memory is taken for it.
  std::vector<std::byte> read_rest(std::size_t most);

 private:
  Descriptor file_;
  std::string name_;
  crypto::FdSource source_;
  crypto::StreamingDecryptor decryptor_;
};

/// Seals `head` and `body`, one behind the other, into a file that isn't committed yet.
void write_sealed(base::AtomicFile& file, const crypto::SecretKey& key, const std::string& context,
                  std::span<const std::byte> head, std::span<const std::byte> body);

}  // namespace sluice::codec
