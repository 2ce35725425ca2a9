// The outcome of a hot-path call: an ordinary value, never an exception.
#pragma once

#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)

namespace sluice {

/// What became of a call on a ring or a port. Ordinary outcomes are values here; set-up and misuse throw
/// sluice::error. Thread-safety: a value type.
enum class [[nodiscard]] Status : std::uint8_t{
    ok = 0,
    would_block,  ///< nothing to read, or no room to write, and the call was not to wait
    timed_out,    ///< the caller's deadline passed
    too_large,    ///< the message exceeds the largest record of this ring
    closed,     ///< the port was closed, here or by the peer, and everything posted before has been delivered
    peer_died,  ///< the peer's process ended without closing
    broken,     ///< the peer's memory broke a rule of the ring; the port's failure names the rule
    overwritten,  ///< the record asked for is no longer in the ring
    forked,       ///< the port was inherited through fork(); only the process that made it may use it
    superseded,   ///< another process has taken over this end of the session
    misuse,  ///< the call isn't allowed now, and did nothing: a claim is open, or handlers get the messages
    handler_failed,  ///< a handler or the executor threw; see the port's failure text
    malformed,       ///< a message came that isn't what the receiver takes; the next can be received
    interrupted,     ///< a wait ended because another thread asked for attention; ports never return it
};

/// The name of a status, for messages and logs. Valid for ever.
constexpr std::string_view to_string(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::would_block:
      return "would block";
    case Status::timed_out:
      return "timed out";
    case Status::too_large:
      return "message too large";
    case Status::closed:
      return "closed";
    case Status::peer_died:
      return "peer died";
    case Status::broken:
      return "broken by the peer";
    case Status::overwritten:
      return "no longer in the ring";
    case Status::forked:
      return "inherited through fork";
    case Status::superseded:
      return "superseded by another process";
    case Status::misuse:
      return "not allowed now";
    case Status::handler_failed:
      return "a handler failed";
    case Status::malformed:
      return "malformed message";
    case Status::interrupted:
      return "interrupted";
  }
  return "unknown status";
}

}  // namespace sluice

#pragma GCC visibility pop
