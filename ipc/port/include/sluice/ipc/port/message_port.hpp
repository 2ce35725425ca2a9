// What a message port is: a concept for whatever carries messages. AnyPort (any_port.hpp) holds any of them;
// PullPort (pull_port.hpp) is the concept for those whose messages can be received by calls.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "sluice/base/detail/move_only_function.hpp"
#include "sluice/base/status.hpp"
#include "sluice/ipc/port/message_content.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Called for each message, in order. The bytes are valid during the call only. Made from any callable, which
/// needs only be movable, that takes them as std::span<const std::byte> or as text, std::string_view.
class MessageHandler : public base::MoveOnlyFunction<void(std::span<const std::byte> message)> {
 public:
  MessageHandler() noexcept = default;
  // NOLINTNEXTLINE(google-explicit-constructor): as std::function
  MessageHandler(std::nullptr_t) noexcept {}

  // Not inherited: clang 14 takes an inherited constructor for hidden by the one below, whatever they
  // require.
  template <typename F>
  requires(!std::is_base_of_v<MoveOnlyFunction, std::remove_cvref_t<F>> &&
           std::is_invocable_v<std::decay_t<F>&, std::span<const std::byte>>)
      // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): as above
      MessageHandler(F&& takes_bytes)
      : MoveOnlyFunction(std::forward<F>(takes_bytes)) {}

  template <typename F>
  requires(!std::is_invocable_v<std::decay_t<F>&, std::span<const std::byte>> &&
           std::is_invocable_v<std::decay_t<F>&, std::string_view>)
      // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): as above
      MessageHandler(F&& takes_text)
      : MoveOnlyFunction([takes_text = std::forward<F>(takes_text)](
                             std::span<const std::byte> message) mutable { takes_text(text_of(message)); }) {}
};

/// Something that went wrong on a port, in words.
struct PortError {
  Status status = Status::ok;
  std::string text;  ///< names the object, what was expected and what came
};

/// Called when a port breaks (broken), and with what a message or close handler throws (handler_failed).
using ErrorHandler = base::MoveOnlyFunction<void(const PortError& error)>;

/// Called once, when a started port has ended and every message was handled, so not while messages wait for a
/// message handler unless the port was closed here. closed, peer_died, broken or handler_failed. Set after
/// that, it is called at once, by the call that sets it, unless another one was called before.
using CloseHandler = base::MoveOnlyFunction<void(Status reason)>;

/// A two-way port for messages, modelled on the web's MessagePort.
///
/// post_message sends (and may wait for room); on_message, on_error and on_close set a handler and return the
/// one set before; once one of them has returned, the replaced handler neither runs nor will run (unless it
/// is the one that made the call). start begins delivery: handlers are called one at a time on one thread;
/// before, messages wait. close ends the port for both sides after what was posted has been delivered. One
/// thread sends at a time; everything else may be called from any thread, handlers included.
///
/// Handlers of two ports may replace each other's handlers, or destroy each other's ports, at the same time:
/// the one that would close the circle doesn't wait for the other to return.
///
/// A message or close handler may throw. on_error is told, with handler_failed; the message counts as
/// handled, and delivery goes on. If no error handler is set, or that throws, too, nobody is left to decide:
/// run() passes the exception on to its caller, and a port that was started closes, with handler_failed as
/// its end's reason and the exception's text as its failure text. What an executor throws is treated so, too.
///
/// A handler or an executor must come back: pthread_exit() inside, or the cancellation of the thread that it
/// runs on, ends the program with a message. pthread_cancel() of a thread that delivers has no effect.
template <typename P>
concept MessagePortLike = requires(P& port, const P& const_port, std::span<const std::byte> message,
                                   MessageHandler on_message, ErrorHandler on_error, CloseHandler on_close) {
  { port.post_message(message) } -> std::same_as<Status>;
  { port.on_message(std::move(on_message)) } -> std::same_as<MessageHandler>;
  { port.on_error(std::move(on_error)) } -> std::same_as<ErrorHandler>;
  { port.on_close(std::move(on_close)) } -> std::same_as<CloseHandler>;
  port.start();
  port.close();
  { const_port.is_open() } -> std::same_as<bool>;
};

/// Posts a copy of `value` as it lies in memory, padding included. The other side reads it with
/// Message::as<T>() or value_of<T>(bytes), and must be built with the same T.
template <MessagePortLike P, MessageValue T>
Status post(P& port, const T& value) {
  return port.post_message(std::as_bytes(std::span(&value, 1)));
}

}  // namespace sluice

#pragma GCC visibility pop
