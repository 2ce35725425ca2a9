// What a message port is: a concept for whatever carries messages, and one type that holds any of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "sluice/base/status.hpp"
#include "sluice/ipc/port/detail/port_operations.hpp"

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

/// Any message port, behind one type: for code that must not be a template, at the price of a virtual call.
///
///   MessagePort port(connect("orders"));          // takes the port over
///   MessagePort port = MessagePort::borrow(mine);  // refers to a port that outlives it
///
/// What the held port offers beyond MessagePortLike is passed on: see the lower half. Movable, never empty
/// but after a move. Threads: as MessagePortLike.
class MessagePort {
 public:
  template <typename P>
  requires(MessagePortLike<P> && !std::same_as<P, MessagePort>) explicit MessagePort(P port)
      : self_(std::make_unique<Model<P, P>>(std::move(port))) {}

  template <MessagePortLike P>
  static MessagePort borrow(P& port) {
    return MessagePort(std::make_unique<Model<P, P&>>(port));
  }

  Status post_message(std::span<const std::byte> message) { return self_->post_message(message); }
  MessageHandler on_message(MessageHandler handler) { return self_->on_message(std::move(handler)); }
  ErrorHandler on_error(ErrorHandler handler) { return self_->on_error(std::move(handler)); }
  CloseHandler on_close(CloseHandler handler) { return self_->on_close(std::move(handler)); }
  void start() { self_->start(); }
  void close() { self_->close(); }
  bool is_open() const { return self_->is_open(); }
  /// What was wrong with the peer's data, in words; empty if nothing was, or where the port doesn't say.
  std::string failure_text() const { return self_->failure_text(); }

  /// Posts `head` followed by `body` as one message, copied once where the port offers its memory. Waits for
  /// room until the deadline (timed_out); for ever where the port has no timed calls.
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline) {
    return self_->post_parts_until(head, body, deadline);
  }

  /// Whether messages can be read by calls: the port offers that, and hasn't been started.
  bool can_receive() { return self_->can_receive(); }
  /// Whether a look at the port costs no system call, so that it may be repeated.
  bool polls_cheaply() { return self_->polls_cheaply(); }
  /// The next message; waits until `*deadline`, not at all where that is null. would_block or timed_out:
  /// none yet; else why there will be none. Only where can_receive().
  ReceivedBytes receive_bytes(const Deadline* deadline) { return self_->receive_bytes(deadline); }
  /// Gives the message read last back.
  void release_bytes() { self_->release_bytes(); }

 private:
  struct Interface {
    Interface() = default;
    Interface(const Interface&) = delete;
    Interface& operator=(const Interface&) = delete;
    virtual ~Interface() = default;
    virtual Status post_message(std::span<const std::byte> message) = 0;
    virtual MessageHandler on_message(MessageHandler handler) = 0;
    virtual ErrorHandler on_error(ErrorHandler handler) = 0;
    virtual CloseHandler on_close(CloseHandler handler) = 0;
    virtual void start() = 0;
    virtual void close() = 0;
    virtual bool is_open() const = 0;
    virtual std::string failure_text() const = 0;
    virtual Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                                    Deadline deadline) = 0;
    virtual bool can_receive() = 0;
    virtual bool polls_cheaply() = 0;
    virtual ReceivedBytes receive_bytes(const Deadline* deadline) = 0;
    virtual void release_bytes() = 0;
  };

  /// Held is P or P&.
  template <typename P, typename Held>
  struct Model final : Interface {
    explicit Model(Held held) : port(static_cast<Held&&>(held)) {}
    Status post_message(std::span<const std::byte> message) override { return port.post_message(message); }
    MessageHandler on_message(MessageHandler handler) override { return port.on_message(std::move(handler)); }
    ErrorHandler on_error(ErrorHandler handler) override { return port.on_error(std::move(handler)); }
    CloseHandler on_close(CloseHandler handler) override { return port.on_close(std::move(handler)); }
    void start() override { port.start(); }
    void close() override { port.close(); }
    bool is_open() const override { return port.is_open(); }
    std::string failure_text() const override {
      if constexpr (requires { port.failure_text(); }) {
        return port.failure_text();
      } else {
        return {};
      }
    }
    Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                            Deadline deadline) override {
      return ipc::post_parts_until<P>(port, head, body, deadline);
    }
    bool can_receive() override { return ipc::PortReader<P>::can_receive(port); }
    bool polls_cheaply() override { return ipc::PortReader<P>::polls_cheaply(port); }
    ReceivedBytes receive_bytes(const Deadline* deadline) override { return reader.receive(port, deadline); }
    void release_bytes() override { reader.release(port); }

    Held port;
    ipc::PortReader<P> reader;  // after the port: its message goes first
  };

  explicit MessagePort(std::unique_ptr<Interface> self) noexcept : self_(std::move(self)) {}

  std::unique_ptr<Interface> self_;
};

static_assert(MessagePortLike<MessagePort>);

}  // namespace sluice
