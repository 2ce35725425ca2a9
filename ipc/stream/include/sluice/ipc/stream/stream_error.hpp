// Why a port stream ended, where it didn't complete.
#pragma once

#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// The ways a stream fails. Thrown as StreamError; an exception of the caller's own source or consumer is
/// passed on as it is.
enum class stream_errc {
  rejected = 1,   ///< the receiver refused a block, with its reason: it stopped, or its consumer failed
  sender_failed,  ///< the sender reported an error, with its message
  closed,         ///< the port was closed, by the peer or here, before the stream was over
  peer_died,      ///< the peer's process ended before the stream was over
  timed_out,      ///< no ACK, or at the receiver nothing at all, came within the time allowed
  protocol,       ///< the peer broke a rule of the protocol
  cancelled,      ///< a stop was requested, or close() called on the stream, here
  port_failed,    ///< the port broke, or refused a block (for its size, for example)
};

/// The category of stream_errc, named "sluice.stream".
const std::error_category& stream_category() noexcept;

inline std::error_code make_error_code(stream_errc code) noexcept {
  return {static_cast<int>(code), stream_category()};
}

/// What ended a stream. code() is a stream_errc; what() says which direction, after how much, and why.
class StreamError : public error {
 public:
  StreamError(stream_errc code, const std::string& what, std::string reason = {})
      : error(make_error_code(code), what), reason_(std::move(reason)) {}

  /// The peer's own words (rejected, sender_failed), or empty. As in what(), they are fit for a terminal or a
  /// log: control characters and the like are escaped as \\xNN, and at most 1024 bytes of them are kept.
  const std::string& reason() const noexcept { return reason_; }

 private:
  std::string reason_;
};

}  // namespace sluice

template <>
struct std::is_error_code_enum<sluice::stream_errc> : std::true_type {};

#pragma GCC visibility pop
