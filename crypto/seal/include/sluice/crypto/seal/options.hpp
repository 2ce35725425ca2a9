// What can be chosen when a stream is sealed or opened.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Formats that can be written and read. Version 1 of AGCM can only be read, see OpenOptions.
enum class Format {
  agcm,  ///< AGCM version 2: our header, see agcm_header.hpp
  c2sp,  ///< C2SP chunked encryption, Cobblestone-256: no magic, no key id, chunks of 16 KiB
};

struct SealOptions {
  Format format = Format::agcm;
  /// Plaintext bytes in a chunk: for agcm a power of two, 4 KiB .. 8 MiB; for c2sp 16384. 0: the format's
  /// default (64 KiB, 16 KiB).
  std::uint32_t chunk_bytes = 0;
  /// Any bytes; the same must be given to open the stream. Says what the stream is for ("billing/2024-05").
  std::string context{};
};

struct OpenOptions {
  Format format = Format::agcm;
  std::string context{};  ///< as given when it was sealed
  /// Also read AGCM version 1, whose chunks can be forged, reordered and dropped unnoticed. For migration
  /// only.
  bool allow_legacy_v1 = false;
};

/// How a whole stream is moved by seal(), open() and the file functions.
struct TransferOptions {
  /// Threads that seal or open chunks at one time: 1 .. 256. If a stream longer than 256 KiB is read or
  /// written and not in memory, and there are processors enough, one more thread reads or writes meanwhile.
  unsigned workers = 1;
  /// Told the plaintext bytes done so far, in growing order, never from two threads at once; what it throws
  /// ends the transfer.
  std::function<void(std::uint64_t plaintext_bytes)> progress{};
  /// A stop request ends the transfer with errc::cancelled, also while a source waits that can be interrupted
  /// (see ByteSource::interrupt); a sink that waits is waited for.
  std::stop_token cancel{};
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
