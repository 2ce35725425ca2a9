// What an observer asks for: the options of a stream_start frame.
//
// A map with any of these keys:
//   "credit"  the number of items that may be sent before the first credit frame, 1 .. 65,536; default 32
//   "slow"    "conflate" (default) or "block"
//   "filter"  docs/formats/filters.md; default nil: everything passes
//   "delta"   "none" (default), "generic" or "own": which deltas the observer can apply
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/filter.hpp"
#include "sluice/codec/observe_options.hpp"

namespace sluice::codec {

struct StreamOptions {
  std::uint64_t credit = 32;
  SlowPolicy slow = SlowPolicy::conflate;
  Filter filter{};
  std::optional<DeltaKind> delta{};
};

/// Throws sluice::error (errc::bad_option, and codec::errc for bytes that are no map): what came, and what is valid.
StreamOptions read_stream_options(std::span<const std::byte> packed, DecodeOptions limits);

}  // namespace sluice::codec
