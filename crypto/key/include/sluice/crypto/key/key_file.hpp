// Keys in files: raw ones, and files that name a passphrase's parameters.
//
// A plain key file is exactly the key's 32 bytes. A passphrase key file is 48 bytes, all numbers
// little-endian:
//
//   offset  bytes  field
//        0      4  "AGKP"
//        4      4  version = 1
//        8      4  Argon2id memory in KiB
//       12      4  Argon2id passes
//       16     16  salt, random
//       32     16  key id of the key that the right passphrase gives
//
// Either is refused (errc::unsafe_key_file) unless it is a regular file of the effective user, opened without
// following a link at its name, that nobody else can read or write (mode & 077 == 0).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Gives the passphrase when one is needed. The string's memory is wiped after use.
using PassphrasePrompt = std::function<std::string()>;

/// Reads either kind of key file. Errors: unsafe_key_file, bad_key_file (size, fields out of range),
/// wrong_passphrase, or the system's (no such file).
SecretKey load_key_file(const std::filesystem::path& path, const PassphrasePrompt& prompt = {});

/// Writes a plain key file, mode 0600. Refuses to replace an existing file (system error file_exists): a key
/// overwritten is data lost.
void save_key_file(const std::filesystem::path& path, const SecretKey& key);

/// Writes a passphrase key file, mode 0600, and returns its key. Refuses to replace an existing file.
SecretKey create_passphrase_key_file(const std::filesystem::path& path, std::string_view passphrase,
                                     const PassphraseParameters& parameters);

}  // namespace sluice::crypto

#pragma GCC visibility pop
