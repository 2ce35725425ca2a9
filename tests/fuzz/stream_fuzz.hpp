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

/// Plays arbitrary messages to a PortStream that sends and receives one stream after another, on this thread.
/// Every call must end.
void fuzz_stream(std::span<const std::byte> input);

}  // namespace sluice::test
