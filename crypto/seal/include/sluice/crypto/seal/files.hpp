// Sealed files in one call. Output appears under its name only when complete, verified and durable; an
// existing file is replaced as a whole or not at all (see atomic_file.hpp). What is read must be a regular
// file (else sluice::errc::unsafe_place): for pipes there is transfer.hpp.
#pragma once

#include <cstdint>
#include <filesystem>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"
#include "sluice/crypto/seal/options.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Seals `input` into `output` (mode 0600); they may be the same file. Returns the plaintext bytes.
std::uint64_t seal_file(const std::filesystem::path& input, const std::filesystem::path& output,
                        const SecretKey& key, const SealOptions& options = {},
                        const TransferOptions& transfer = {});

/// Opens `input` into `output` (mode 0600). Nothing appears unless all of it is authentic.
std::uint64_t open_file(const std::filesystem::path& input, const std::filesystem::path& output,
                        const Keys& keys, const OpenOptions& options = {},
                        const TransferOptions& transfer = {});

/// Replaces a file sealed with one of the keys `from` by the same plaintext sealed with `to`. Chunk size and
/// context stay (those of `open_options`); a version 1 file, if allowed there, becomes version 2 with 64 KiB
/// chunks. The new file is read back with the new key and compared (BLAKE2b) before it replaces the old one,
/// whose mode and owner it gets. Returns the plaintext bytes. sluice::errc::busy if another rekey_file()
/// is at work on the file, or another file was put in its place meanwhile.
std::uint64_t rekey_file(const std::filesystem::path& file, const Keys& from, const SecretKey& to,
                         const OpenOptions& open_options = {}, const TransferOptions& transfer = {});

}  // namespace sluice::crypto

#pragma GCC visibility pop
