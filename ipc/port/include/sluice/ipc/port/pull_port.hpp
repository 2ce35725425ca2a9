// Receiving by calls: the one interface for it. Port, NativePort and AnyPort satisfy it, and so may your own.
//
//   template <sluice::PullPort P>
//   void echo(P& port) {
//     while (sluice::Message message = port.receive_until(deadline)) {
//       if (port.post_message(message.bytes()) != sluice::Status::ok) return;
//     }
//   }
#pragma once

#include <concepts>

#include "sluice/base/deadline.hpp"
#include "sluice/ipc/port/message.hpp"
#include "sluice/ipc/port/message_port.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// A message port whose messages can also be received by calls, as long as it hasn't been started.
///
/// can_receive: whether they can be now. try_receive: the next message, or would_block if there is none yet.
/// receive_until: waits for it (timed_out); any other status says why no more will come. A Message gives
/// itself back; the next receive does so at the latest. One thread receives at a time.
template <typename P>
concept PullPort = MessagePortLike<P> && requires(P& port, const P& const_port, Deadline deadline) {
  { const_port.can_receive() } -> std::same_as<bool>;
  { port.try_receive() } -> std::same_as<Message>;
  { port.receive_until(deadline) } -> std::same_as<Message>;
};

}  // namespace sluice

#pragma GCC visibility pop
