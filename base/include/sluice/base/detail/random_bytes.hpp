// Bytes that nobody can guess, for the names of sessions, streams and clients.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#pragma GCC visibility push(default)

namespace sluice::base {

/// Fills `bytes`, at most 256, with the kernel's random ones. Throws a system error; `what` names their use. Thread-safe.
void fill_random(std::span<std::uint8_t> bytes, const std::string& what);

}  // namespace sluice::base

#pragma GCC visibility pop
