// Errors of the crypto room: one exception type, one category, one code for every failed authentication.
#pragma once

#include <string>
#include <system_error>

namespace sluice::crypto {

/// Conditions of this room's own category; failures of system calls carry their errno in the system category.
enum class errc {
  bad_option = 1,    ///< an option outside its documented range
  short_header,      ///< the input ends inside the stream header
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
  unsafe_target,     ///< the place to be written is no regular file, or its temporary name belongs to others
  busy,              ///< another writer holds this file or journal
  incomplete,        ///< close() before the verified end of the stream
  misuse,            ///< a call that the object's state doesn't allow
  corrupt,           ///< a journal is damaged in a way that no interrupted write explains
  gap,               ///< the journal doesn't hold the sequence number asked for
};

/// The category of sluice::crypto::errc, named "sluice.crypto".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

/// What this room throws. what() names the object, what was expected and what came, and ends with the code's
/// message; it never contains key material.
class error : public std::system_error {
 public:
  error(errc code, const std::string& detail) : error(make_error_code(code), detail) {}
  error(std::error_code code, const std::string& detail) : std::system_error(code, detail), detail_(detail) {}

  /// The same error, with the name of the file or object it is about in front.
  error about(const std::string& name) const { return {code(), name + ": " + detail_}; }

 private:
  std::string detail_;
};

/// Throws crypto::error with the system category and the current errno; `what` names the call and its object.
[[noreturn]] void throw_errno(const std::string& what);

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
