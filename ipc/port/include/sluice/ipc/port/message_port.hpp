// What a message port is: a concept for whatever carries messages. AnyPort (any_port.hpp) holds any of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "sluice/base/status.hpp"

namespace sluice {

/// Called for each message, in order. The bytes are valid during the call only.
using MessageHandler = std::function<void(std::span<const std::byte> message)>;

/// Something that went wrong on a port, in words.
struct PortError {
  Status status = Status::ok;
  std::string text;  ///< names the object, what was expected and what came
};

/// Called when a port breaks, or when a message handler throws.
using ErrorHandler = std::function<void(const PortError& error)>;

/// Called once, after the last message, when a started port has ended: closed, peer_died or broken.
using CloseHandler = std::function<void(Status reason)>;

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

}  // namespace sluice
