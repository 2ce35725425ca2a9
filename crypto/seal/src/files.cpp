#include "sluice/crypto/seal/files.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "secure_buffer.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {
namespace {

void check_still_named(const Descriptor& file, const std::filesystem::path& path) {
  if (base::is_named(file.get(), AT_FDCWD, path.string())) return;
  throw error(sluice::errc::busy, path.string() + ": another file was put in its place meanwhile");
}

void keep_owner_and_mode(base::AtomicFile& fresh, const Descriptor& file, const std::filesystem::path& path) {
  struct stat made {};
  struct stat old {};
  if (::fstat(fresh.fd(), &made) < 0 || ::fstat(file.get(), &old) < 0) throw_errno("fstat " + path.string());
  const bool same_owner = made.st_uid == old.st_uid && made.st_gid == old.st_gid;
  if ((!same_owner && ::fchown(fresh.fd(), old.st_uid, old.st_gid) < 0) ||
      ::fchmod(fresh.fd(), old.st_mode & 07777U) < 0)
    throw_errno("keeping owner and mode of " + path.string());
}

// Passes bytes on and remembers what passed.
class DigestSink final : public ByteSink {
 public:
  using Digest = std::array<std::byte, crypto_generichash_BYTES>;

  explicit DigestSink(ByteSink* next) : next_(next) {
    crypto_generichash_init(&state_, nullptr, 0, sizeof(Digest));
  }
  void write(std::span<const std::byte> bytes) override {
    crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    if (next_ != nullptr) next_->write(bytes);
  }
  Digest finish() {
    Digest digest{};
    crypto_generichash_final(&state_, reinterpret_cast<unsigned char*>(digest.data()), digest.size());
    return digest;
  }

 private:
  ByteSink* next_;
  crypto_generichash_state state_{};
};

// The plaintext of a stream, digested as it is read.
class PlaintextSource final : public ByteSource {
 public:
  PlaintextSource(StreamingDecryptor& decryptor, DigestSink& digest)
      : decryptor_(&decryptor), digest_(&digest) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t count = decryptor_->read(into);
    digest_->write(into.first(count));
    return count;
  }

 private:
  StreamingDecryptor* decryptor_;
  DigestSink* digest_;
};

/// Opens `input`, lets `move` transfer it into a new file, and gives that the name `output` once it is
/// complete.
template <typename Move>
std::uint64_t into_new_file(const std::filesystem::path& input, const std::filesystem::path& output,
                            Move move) {
  const Descriptor from = base::open_regular_file(input);
  FdSource source(from.get(), input.string());
  base::AtomicFile file(output);
  AtomicFileSink sink(file);
  file.expect_as_much_as(from.get());
  const std::uint64_t bytes = naming(input.string(), [&] { return move(source, sink); });
  file.commit();
  return bytes;
}

}  // namespace

std::uint64_t seal_file(const std::filesystem::path& input, const std::filesystem::path& output,
                        const SecretKey& key, const SealOptions& options, const TransferOptions& transfer) {
  return into_new_file(input, output, [&](ByteSource& source, ByteSink& sink) {
    return crypto::seal(source, sink, key, options, transfer);
  });
}

std::uint64_t open_file(const std::filesystem::path& input, const std::filesystem::path& output,
                        const Keys& keys, const OpenOptions& options, const TransferOptions& transfer) {
  return into_new_file(input, output, [&](ByteSource& source, ByteSink& sink) {
    return crypto::open(source, sink, keys, options, transfer);
  });
}

std::uint64_t rekey_file(const std::filesystem::path& file, const Keys& from, const SecretKey& to,
                         const OpenOptions& open_options, const TransferOptions& transfer) {
  return naming(file.string(), [&] {
    require_sodium();
    const Descriptor sealed = base::open_regular_file(file);
    FdSource source(sealed.get(), file.string());
    StreamingDecryptor decryptor(source, from, open_options);
    SealOptions seal_options{
        .format = open_options.format, .chunk_bytes = 0, .context = open_options.context};
    if (!decryptor.is_legacy_v1()) seal_options.chunk_bytes = decryptor.chunk_bytes();

    // Two that replace the same file would each lose what the other did. Others can lock the old file if they
    // can read it, but not the new one, which is private until it is complete.
    base::AtomicFile fresh(file, {.one_writer = true});
    fresh.expect_as_much_as(sealed.get());
    AtomicFileSink sink(fresh);
    DigestSink was(nullptr);
    PlaintextSource plaintext(decryptor, was);
    const std::uint64_t bytes = crypto::seal(plaintext, sink, to, seal_options, transfer);

    if (::lseek(fresh.fd(), 0, SEEK_SET) < 0) throw_errno("lseek " + file.string());
    FdSource read_back(fresh.fd(), "the new " + file.string());
    DigestSink is(nullptr);
    const std::uint64_t checked = crypto::open(
        read_back, is, to,
        {.format = open_options.format, .context = open_options.context, .allow_legacy_v1 = false});
    if (checked != bytes || was.finish() != is.finish()) throw_not_authentic();
    keep_owner_and_mode(fresh, sealed, file);
    check_still_named(sealed, file);
    fresh.commit();
    return bytes;
  });
}

}  // namespace sluice::crypto
