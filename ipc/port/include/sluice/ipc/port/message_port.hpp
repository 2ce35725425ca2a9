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

  // Not inherited: clang 14 takes an inherited constructor for hidden by the one below, whatever they require.
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

/// Called when a port breaks, or when a message handler throws.
using ErrorHandler = base::MoveOnlyFunction<void(const PortError& error)>;

/// Called once, after the last message, when a started port has ended: closed, peer_died or broken.
using CloseHandler = base::MoveOnlyFunction<void(Status reason)>;

/// A two-way port for messages, modelled on the web's MessagePort.
///
/// post_message sends (and may wait for room); on_message, on_error and on_close set a handler and return the
/// one set before; once one of them has returned, the replaced handler neither runs nor will run (unless it
/// is the one that made the call). start begins delivery: handlers are called one at a time on one thread;
/// before, messages wait. close ends the port for both sides after what was posted has been delivered. One
/// thread sends at a time; everything else may be called from any thread, handlers included.
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
