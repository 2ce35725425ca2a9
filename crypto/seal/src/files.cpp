#include "sluice/crypto/seal/files.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "secure_buffer.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/uninherited_descriptor.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {
namespace {

struct InputFile {
  base::UninheritedDescriptor fd;  // which may be locked
  struct stat status {};

  explicit InputFile(const std::filesystem::path& path) {
    fd.open([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
    if (!fd) throw_errno("open " + path.string());
    if (::fstat(fd.get(), &status) < 0) throw_errno("fstat " + path.string());
    if (S_ISDIR(status.st_mode))
      throw error(std::make_error_code(std::errc::is_a_directory), "open " + path.string());
  }
};

// Two that replace the same file would each lose what the other did.
void lock_for_replacing(const InputFile& file, const std::filesystem::path& path) {
  if (base::lock_file(file.fd.get(), LOCK_EX | LOCK_NB, path.string())) return;
  throw error(sluice::errc::busy, path.string() + ": another process is replacing it");
}

void check_still_named(const InputFile& file, const std::filesystem::path& path) {
  struct stat now {};
  if (::lstat(path.c_str(), &now) < 0) throw_errno("stat " + path.string());
  if (now.st_ino == file.status.st_ino && now.st_dev == file.status.st_dev) return;
  throw error(sluice::errc::busy, path.string() + ": another file was put in its place meanwhile");
}

void keep_owner(base::AtomicFile& fresh, const InputFile& file, const std::filesystem::path& path) {
  struct stat made {};
  if (::fstat(fresh.fd(), &made) < 0) throw_errno("fstat the new " + path.string());
  if (made.st_uid == file.status.st_uid && made.st_gid == file.status.st_gid) return;
  if (::fchown(fresh.fd(), file.status.st_uid, file.status.st_gid) < 0 ||
      ::fchmod(fresh.fd(), file.status.st_mode & 07777U) < 0)
    throw_errno("keeping the owner of " + path.string());
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
  const InputFile from(input);
  FdSource source(from.fd.get(), input.string());
  base::AtomicFile file(output);
  AtomicFileSink sink(file);
  file.expect_as_much_as(from.fd.get());
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
    const InputFile sealed(file);
    lock_for_replacing(sealed, file);
    FdSource source(sealed.fd.get(), file.string());
    StreamingDecryptor decryptor(source, from, open_options);
    SealOptions seal_options{
        .format = open_options.format, .chunk_bytes = 0, .context = open_options.context};
    if (!decryptor.is_legacy_v1()) seal_options.chunk_bytes = decryptor.chunk_bytes();

    base::AtomicFile fresh(file, {.mode = sealed.status.st_mode & 07777U});
    keep_owner(fresh, sealed, file);
    fresh.expect_as_much_as(sealed.fd.get());
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
    check_still_named(sealed, file);
    fresh.commit();
    return bytes;
  });
}

}  // namespace sluice::crypto
