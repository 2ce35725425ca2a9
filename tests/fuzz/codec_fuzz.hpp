// What the fuzzer of typed messages runs. Aborts if a rule is broken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// Decodes the bytes, and compares with what msgpack-cxx makes of them; then as values of several types, with
/// limits. Whatever is accepted comes back when it is packed again. Returns whether the bytes are a value.
bool fuzz_codec(std::span<const std::byte> input);

}  // namespace sluice::test
