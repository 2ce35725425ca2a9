// What one end of a connection chooses for itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "sluice/ring/waiting.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Runs a piece of work, now or later, on whatever thread it likes; work handed over in order runs in order.
/// Work that it throws away ends the delivery; an exception of its own ends the port (handler_failed); work
/// that it runs after the port was destroyed does nothing. Copyable, unlike handlers, since it goes with its
/// options to every port that a listener accepts.
using Executor = std::function<void(std::function<void()> work)>;

/// One end's own choices; the two ends need not agree.
struct PortOptions {
  /// Size of the ring that this end writes: a power of two from 4 KiB to 1 GiB.
  std::uint64_t ring_bytes = 1ULL << 20U;
  /// Released bytes that are never overwritten, a multiple of 8; default a quarter of the ring, at most a
  /// little under half.
  std::optional<std::uint64_t> replay_window_bytes{};
  WaitOptions wait{};
  /// Where handlers run; default: on the port's delivery thread.
  Executor executor{};
};

}  // namespace sluice

#pragma GCC visibility pop
