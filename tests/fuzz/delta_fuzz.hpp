// What the fuzzer of deltas runs. Aborts if a rule is broken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// The first byte chooses: a delta of somebody's bytes on a value, which is applied or leaves the value as it was; a
/// delta between two values of somebody's bytes; or a stream of a value that is edited again and again. What a delta
/// makes is what it was made to. Returns whether a delta was applied.
bool fuzz_delta(std::span<const std::byte> input);

}  // namespace sluice::test
