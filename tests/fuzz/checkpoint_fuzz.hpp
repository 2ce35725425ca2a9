// What the fuzzer of checkpoint files runs. Aborts if a rule is broken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// Loads a checkpoint from a file as the input says, at a moment as the input says. What is accepted must be
/// the one way to write it, and can be stored again. Returns whether it was accepted. Zeros, if there are at
/// least 40, are a right file.
bool fuzz_checkpoint(std::span<const std::byte> input);

}  // namespace sluice::test
