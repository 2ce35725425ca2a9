// The frames that two peers exchange, one a message. docs/formats/frames.md draws each of them.
//
// A frame is a msgpack array. Its first item is the kind, a number below 128, so one byte. Ids are binaries of 16
// bytes. Whatever may be large comes last.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Names a call, a stream or a client: 128 random bits, or a random prefix and a count. Thread-safety: a value type.
using Id = std::array<std::uint8_t, 16>;

/// Random. Throws a system error if the kernel has no random bytes.
Id random_id();

/// The version of the frames. A peer of another major version is refused; kinds that a newer minor version adds are
/// skipped.
inline constexpr std::uint64_t kFramesMajor = 1;
inline constexpr std::uint64_t kFramesMinor = 0;
inline constexpr std::string_view kFramesName = "sluice";

enum class FrameKind : std::uint8_t {
  hello = 0,  ///< "sluice", major, minor, client id, whether it answers a hello: the first frame of each side
  call = 1,   ///< call id, actor, method, arguments (an array)
  result = 2,        ///< call id, value
  call_error = 3,    ///< call id, code, text
  cancel = 4,        ///< call id
  send = 5,          ///< actor, method, arguments
  stream_start = 6,  ///< stream id, actor, state, options (a map)
  stream_resume =
      7,  ///< stream id, last sequence that came, its place, ticket (start, seal), id to go on with if
          ///< restarted, actor, state, options
  stream_verdict = 8,  ///< stream id, verdict, first, last, ticket (start, seal)
  stream_data = 9,     ///< stream id, sequence, time (ns since 1970), place, form, base sequence, data
  stream_end = 10,     ///< stream id, reason
  stream_error = 11,   ///< stream id, code, text
  credit = 12,         ///< stream id, the last sequence that may be sent
  want_full = 13,      ///< stream id, the last sequence that could be applied
  unsubscribe = 14,    ///< stream id
  refusal = 15,        ///< text: the sender breaks off, and why
};
inline constexpr std::uint64_t kLastFrameKind = 15;

/// What the other side says about a call or a stream that it can't serve.
enum class RemoteCode : std::uint8_t {
  no_such_actor = 1,
  no_such_member = 2,  ///< the actor has no such method or state
  bad_arguments = 3,
  failed = 4,       ///< the method threw
  cancelled = 5,    ///< by the caller, or the actor is gone
  bad_options = 6,  ///< an invalid filter, for example
  duplicate_stream = 7,
  foreign_stream = 8,  ///< a stream of another client
  too_slow = 9,        ///< the observer took nothing for too long
  too_many = 10,       ///< streams, or calls in flight
  too_large = 11,      ///< the frame doesn't fit into the port
};
std::string_view to_string(RemoteCode code) noexcept;

/// What became of a stream that was started or resumed.
enum class StreamVerdict : std::uint8_t {
  started = 0,  ///< a new stream: the current value follows, then every change
  resumed = 1,  ///< the items first to last, which were missed, follow (none if first > last), then new ones
  gap = 2,      ///< the items first to last are gone; the current value follows
  restarted = 3,  ///< nothing is known of the stream: as started, and the sequence begins at 1 again
};
std::string_view to_string(StreamVerdict verdict) noexcept;

enum class StreamEnd : std::uint8_t {
  completed = 0,
  actor_terminated = 1,
  client_unsubscribed = 2,
  connection_closed = 3,
  error = 4,
};
std::string_view to_string(StreamEnd reason) noexcept;

/// The largest names of an actor and of what it has, in bytes.
inline constexpr std::size_t kMaxNameBytes = 128;
/// What a text in a frame is cut to, in bytes.
inline constexpr std::size_t kMaxTextBytes = 1024;

}  // namespace sluice::codec

#pragma GCC visibility pop
