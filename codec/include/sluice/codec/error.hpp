// Errors of the codec room: what can be wrong with the bytes of a typed message, and with a stored state.
#pragma once

#include <system_error>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Conditions of this room, thrown as sluice::error. Thread-safety: a value type.
enum class errc {
  cut_off = 1,        ///< the bytes end inside a value, or a length in them reaches beyond their end
  trailing_bytes,     ///< something follows the value
  undefined_byte,     ///< 0xc1, which the format doesn't define
  bad_timestamp,      ///< an extension of type -1 of another size than 4, 8 or 12, or out of range
  too_large,          ///< more bytes than DecodeOptions::max_bytes, or than a store of states takes
  too_many_elements,  ///< more values than DecodeOptions::max_elements
  too_deep,           ///< containers nested deeper than DecodeOptions::max_depth
  wrong_type,         ///< msgpack, but not of the type asked for
  bad_filter,        ///< a filter that doesn't exist, with parameters that aren't valid, or beyond its bounds
  bad_frame,         ///< a peer's frame breaks the rules of docs/formats/frames.md
  other_version,     ///< the peer's frames are of another major version
  peer_ended,        ///< the other side closed, died or began anew before it answered
  remote,            ///< the other side answered with an error: see RemoteError
  cancelled,         ///< the call was cancelled here
  bad_delta,         ///< a delta that doesn't fit the value
  version_conflict,  ///< another state is stored than the caller has seen: see VersionConflict
};

/// The category of sluice::codec::errc, named "sluice.codec".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

}  // namespace sluice::codec

template <>
struct std::is_error_code_enum<sluice::codec::errc> : std::true_type {};

#pragma GCC visibility pop
