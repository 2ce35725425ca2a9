// How much of a peer's message is believed.
#pragma once

#include <cstddef>

#pragma GCC visibility push(default)

namespace sluice::codec {

/// The largest DecodeOptions::max_depth.
inline constexpr unsigned kDeepestLevel = 512;

/// Bounds for one message. What exceeds one is refused before anything is allocated for it. Decoding takes at
/// most max_bytes for a copy of the message and 24 bytes an element; what the decoded value itself takes is up
/// to its type. Thread-safety: a value type.
struct DecodeOptions {
  std::size_t max_bytes = std::size_t{16} << 20;  ///< of the message
  std::size_t max_elements = std::size_t{1}
                             << 20;  ///< values in it: each scalar, container, key and item is one
  unsigned max_depth = 32;           ///< containers within each other, 0 .. kDeepestLevel

  /// Decodes the message where it lies instead of copying it first, so that views in the value (string_view,
  /// raw_ref) point into the peer's ring. Only for a peer that is trusted not to change what it has posted: one
  /// that does can make the decoder read whatever lies in this process.
  bool in_place = false;

  /// Timestamps beyond what system_clock holds (the years 1677 to 2262) are refused, since reading one as a
  /// time_point overflows. true lets them pass, for types that read them as codec::Timestamp.
  bool any_timestamp = false;
};

}  // namespace sluice::codec

#pragma GCC visibility pop
