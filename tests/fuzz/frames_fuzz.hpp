// What the fuzzer of peers runs. Aborts if a rule is broken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// Reads from the input what the other side of a peer sends: whole frames, damaged ones, any bytes. The peer serves
/// methods and a state meanwhile, and has calls and streams of its own in flight. It goes on, or ends as broken and says
/// why; what it sends are frames; another peer of the same registry notices nothing. Returns whether it went on.
bool fuzz_frames(std::span<const std::byte> input);

}  // namespace sluice::test
