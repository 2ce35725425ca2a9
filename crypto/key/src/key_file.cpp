#include "sluice/crypto/key/key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "secure_buffer.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::size_t kPassphraseFileSize = 48;
constexpr std::array kMagic{std::byte{'A'}, std::byte{'G'}, std::byte{'K'}, std::byte{'P'}};
constexpr std::uint32_t kVersion = 1;

std::string name_of(const std::filesystem::path& path) {
  return "key file " + path.string();
}

void check_owner_and_mode(const struct stat& status, const std::string& name) {
  const auto refuse = [&](const std::string& why) { throw error(errc::unsafe_key_file, name + ": " + why); };
  if (!S_ISREG(status.st_mode)) refuse("expected a regular file");
  if (status.st_uid != ::geteuid()) {
    refuse("expected owner uid " + std::to_string(::geteuid()) + ", got " + std::to_string(status.st_uid));
  }
  if ((status.st_mode & 077U) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(status.st_mode & 07777U));
    refuse("others can use it (mode " + std::string(mode.data()) + "); expected 0600");
  }
}

// O_NONBLOCK: a FIFO put in the key's place must not make us wait.
Descriptor open_key_file(const std::filesystem::path& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ELOOP) throw error(errc::unsafe_key_file, name_of(path) + ": is a symbolic link");
  if (!fd) throw_errno("open " + name_of(path));
  return fd;
}

std::array<std::byte, kPassphraseFileSize> encode(const PassphraseParameters& parameters, const KeyId& id) {
  std::array<std::byte, kPassphraseFileSize> file{};
  std::ranges::copy(kMagic, file.begin());
  base::store_le(file, 4, kVersion);
  base::store_le(file, 8, parameters.memory_kib);
  base::store_le(file, 12, parameters.passes);
  std::ranges::copy(parameters.salt, file.begin() + 16);
  std::ranges::copy(id.bytes, file.begin() + 32);
  return file;
}

SecretKey derive(std::span<const std::byte> file, const PassphrasePrompt& prompt, const std::string& name) {
  if (!std::ranges::equal(file.first(4), kMagic))
    throw error(errc::bad_key_file, name + ": expected \"AGKP\"");
  if (const auto version = base::load_le<std::uint32_t>(file, 4); version != kVersion) {
    throw error(errc::bad_key_file, name + ": expected version 1, got " + std::to_string(version));
  }
  PassphraseParameters parameters;
  parameters.memory_kib = base::load_le<std::uint32_t>(file, 8);
  parameters.passes = base::load_le<std::uint32_t>(file, 12);
  std::ranges::copy(file.subspan(16, 16), parameters.salt.begin());
  if (!prompt) throw error(sluice::errc::bad_option, name + ": needs a passphrase");
  try {
    std::string passphrase = prompt();
    struct Wipe {
      std::string& text;
      ~Wipe() { wipe(std::as_writable_bytes(std::span(text))); }
    } guard{passphrase};
    auto key = SecretKey::from_passphrase(passphrase, parameters);
    if (!std::ranges::equal(key.id().bytes, file.subspan(32, 16))) {
      throw error(errc::wrong_passphrase, name + ": the passphrase doesn't fit");
    }
    return key;
  } catch (const error& failure) {
    if (failure.code() == sluice::errc::bad_option)
      throw error(errc::bad_key_file, failure.about(name).what());
    throw;
  }
}

}  // namespace

SecretKey load_key_file(const std::filesystem::path& path, const PassphrasePrompt& prompt) {
  const std::string name = name_of(path);
  const Descriptor fd = open_key_file(path);
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) throw_errno("fstat " + name);
  check_owner_and_mode(status, name);
  // One byte more than the largest file, so that a file which grows meanwhile is refused by its size.
  SecureBuffer memory(kPassphraseFileSize + 1);
  const auto bytes = memory.bytes().first(base::read_all(fd.get(), memory.bytes(), name));
  if (bytes.size() == SecretKey::kSize) return SecretKey::from_bytes(bytes);
  if (bytes.size() == kPassphraseFileSize) return derive(bytes, prompt, name);
  throw error(errc::bad_key_file,
              name + ": expected exactly 32 bytes (a key) or 48 (passphrase parameters), got " +
                  std::to_string(status.st_size));
}

void save_key_file(const std::filesystem::path& path, const SecretKey& key) {
  base::AtomicFile file(path, {.replace = false});
  file.write(key.bytes());
  file.commit();
}

SecretKey create_passphrase_key_file(const std::filesystem::path& path, std::string_view passphrase,
                                     const PassphraseParameters& parameters) {
  base::AtomicFile file(path, {.replace = false});
  auto key = SecretKey::from_passphrase(passphrase, parameters);
  file.write(encode(parameters, key.id()));
  file.commit();
  return key;
}

}  // namespace sluice::crypto
