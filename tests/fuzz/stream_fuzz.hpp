// What the fuzzers of port streams run: arbitrary bytes as frames, as the two state machines' input, and as a
// peer of a whole stream. Each aborts where an invariant breaks.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::test {

/// Decodes arbitrary messages, answers and texts.
void fuzz_frames(std::span<const std::byte> input);

/// Drives a SendState and a ReceiveState with arbitrary calls, and checks that what they count is bounded.
void fuzz_states(std::span<const std::byte> input);

/// Plays arbitrary frames, and a close, against a PortStream that receives or sends; it must end.
void fuzz_stream(std::span<const std::byte> input);

}  // namespace sluice::test
