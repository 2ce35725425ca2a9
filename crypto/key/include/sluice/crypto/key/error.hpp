// Errors of the crypto room: one category, one code for every failed authentication.
#pragma once

#include <string>
#include <system_error>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// Conditions of this room, thrown as sluice::error. Messages never contain key material.
enum class errc {
  short_header = 1,  ///< the input ends inside the stream header
  bad_magic,         ///< the input is no sealed stream, or no journal segment
  bad_version,       ///< a version this library doesn't know
  legacy_refused,    ///< a version 1 stream, and the caller didn't ask for the legacy reader
  bad_algorithm,     ///< an unknown cipher in the header
  bad_flags,         ///< flags that this version doesn't define
  bad_chunk_size,    ///< a chunk size outside the format's range
  unknown_key,       ///< the header names another key than the ones given
  not_authentic,     ///< any failed authentication: wrong key or context, changed, cut, extended, reordered
  malformed,         ///< a version 1 stream whose chunk lengths make no sense
  too_long,          ///< a stream of more than 2^32 chunks
  no_room,           ///< the destination in memory is too small
  cancelled,         ///< the caller asked to stop
  bad_key_file,      ///< a key file of the wrong size or with fields out of range
  unsafe_key_file,   ///< a key file that others can read, that isn't ours, or that is no regular file
  wrong_passphrase,  ///< the passphrase doesn't give the key that the key file names
  incomplete,        ///< close() before the verified end of the stream
  corrupt,           ///< a journal is damaged in a way that no interrupted write explains
  gap,               ///< the journal doesn't hold the sequence number asked for
  no_numbers,        ///< the journal has given its last sequence number, 2^64 - 2
  replaced,  ///< another journal, or an older state of it, was put in a journal's place under its reader
};

/// The category of sluice::crypto::errc, named "sluice.crypto".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

/// Runs `work`. What it finds wrong with a stream (errors of our category) names no file: it is told about
/// `name`.
template <typename Work>
auto naming(const std::string& name, Work work) {
  try {
    return work();
  } catch (const error& failure) {
    if (failure.code().category() != category()) throw;
    throw failure.about(name);
  }
}

}  // namespace sluice::crypto

template <>
struct std::is_error_code_enum<sluice::crypto::errc> : std::true_type {};

#pragma GCC visibility pop
