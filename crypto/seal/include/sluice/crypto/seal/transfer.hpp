// Whole streams in one call, from any source to any sink, with several threads if wanted.
#pragma once

#include <cstdint>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/options.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Seals everything that the source gives; returns the plaintext bytes. The result doesn't depend on the
/// number of workers. Memory: at most 4 MiB, or one chunk a worker and two besides if that is more.
///
/// Source and sink may be called from other threads than the caller's, and the one while the other is at
/// work: never two calls of one object at once, but the two objects must not share anything that isn't
/// thread-safe. A fork() inside one of them leaves a child that writes nothing, and that may never return.
/// StreamingEncryptor and StreamingDecryptor stay in their caller's thread.
std::uint64_t seal(ByteSource& source, ByteSink& sink, const SecretKey& key, const SealOptions& options = {},
                   const TransferOptions& transfer = {});

/// Opens a whole stream; returns the plaintext bytes. The sink gets only verified bytes, in order; when this
/// throws, what it got is authentic but not the whole stream. A MemorySink's memory is filled in place: after
/// an error its contents are to be ignored (failed chunks are wiped).
std::uint64_t open(ByteSource& source, ByteSink& sink, const Keys& keys, const OpenOptions& options = {},
                   const TransferOptions& transfer = {});

/// Bytes of the sealed stream for so many bytes of plaintext: to size a MemorySink.
std::uint64_t sealed_size(std::uint64_t plaintext_bytes, const SealOptions& options = {});

}  // namespace sluice::crypto

#pragma GCC visibility pop
