// What the fuzzer of filters runs. Aborts if a rule is broken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// Reads a filter, from a message, a text, or words that are likely to be one; and lets it judge values.
/// Whatever is accepted comes back when it is packed and read again. Returns whether there was a filter.
///
/// Byte 0 modulo 3 is the form of the filter (message, text, words), byte 1 its length. Behind it stand
/// values: a byte of time that has passed (bit 7: what passes isn't sent), one of length, and as many bytes
/// of msgpack.
bool fuzz_filters(std::span<const std::byte> input);

}  // namespace sluice::test
