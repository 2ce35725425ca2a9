// What the fuzzer of handshakes runs. Aborts if a rule is broken, or a descriptor is left open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::test {

/// Who shakes hands with the hostile peer; the first byte of an input, modulo 8.
enum class HandshakeRole : std::uint8_t {
  listener,
  connector,
  host,
  joiner,
  stored_host,    ///< goes on from files of both sides
  stored_joiner,  ///< has a checkpoint
  keeper,         ///< a host in a session, whose peer has died
  seeking_keeper  ///< a joiner in a session, whose host has died
};

/// One handshake, on this thread, with packets and descriptors as the input says. Zeros are what is right.
/// Returns whether the connection stands.
bool fuzz_handshake(std::span<const std::byte> input);

}  // namespace sluice::test
