// Which rule the peer's memory broke: recorded without allocating, told in words later.
#pragma once

#include <cstdint>
#include <string>

#pragma GCC visibility push(default)

namespace sluice::ring {

/// The first broken rule that a producer or consumer met.
struct RingFailure {
  const char* rule = nullptr;  ///< a sentence of static storage, or null if nothing was broken
  std::uint64_t expected = 0;
  std::uint64_t got = 0;

  explicit operator bool() const noexcept { return rule != nullptr; }

  /// "<rule>: expected E, got G".
  std::string to_string() const {
    if (rule == nullptr) return "no rule broken";
    return std::string(rule) + ": expected " + std::to_string(expected) + ", got " + std::to_string(got);
  }
};

}  // namespace sluice::ring

#pragma GCC visibility pop
