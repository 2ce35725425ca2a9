// What changed from one packed value to the next, and how to apply it. The bytes: docs/formats/deltas.md.
//
//   auto delta = sluice::codec::make_delta(old_bytes, new_bytes);
//   if (delta) new_bytes == sluice::codec::apply_delta(old_bytes, *delta);
//
// A delta fits the value that it was made from, and no other: sluice/codec/delta_stream.hpp numbers them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/codec/decode_options.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// The delta from one packed value to another. Nothing if it wouldn't be smaller than `to`, if the two aren't both
/// arrays or both maps, or if either isn't one packed value below 4 GiB. Takes time in proportion to the bytes of
/// both: a list whose order changed a lot isn't searched for the smallest delta. Thread-safety: any thread.
std::optional<std::vector<std::byte>> make_delta(std::span<const std::byte> from,
                                                 std::span<const std::byte> to);

/// The value that `delta` makes of `base`, packed: the same value, with map fields in the same order, that the delta
/// was made to, in msgpack's shortest forms. If those were the forms there (as from msgpack-cxx), the bytes are the
/// same, too. Throws sluice::error with a code of codec::errc: errc::bad_delta if it doesn't fit, or what is wrong
/// with the bytes of one of them, or which limit the new value would exceed. Thread-safety: any thread.
std::vector<std::byte> apply_delta(std::span<const std::byte> base, std::span<const std::byte> delta,
                                   const DecodeOptions& limits = {});

}  // namespace sluice::codec

#pragma GCC visibility pop
