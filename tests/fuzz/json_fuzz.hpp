// What the fuzzer of the command's JSON text runs. Aborts if a rule is broken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// Reads JSON, or msgpack, and makes each of the other: the value stays the same, and a terminal is shown nothing but
/// ASCII. Returns whether there was a value.
///
/// Byte 0 modulo 2 is the form (JSON, msgpack); the value stands behind it.
bool fuzz_json(std::span<const std::byte> input);

}  // namespace sluice::test
