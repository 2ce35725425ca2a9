// One type that holds any message port.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "sluice/ipc/port/detail/port_operations.hpp"
#include "sluice/ipc/port/message_port.hpp"

namespace sluice {

/// Any message port, behind one type: for code that must not be a template, at the price of a virtual call.
///
///   AnyPort port(connect("orders"));          // takes the port over
///   AnyPort port = AnyPort::borrow(mine);  // refers to a port that outlives it
///
/// What the held port offers beyond MessagePortLike is passed on: see the lower half. Movable, never empty
/// but after a move. Threads: as MessagePortLike.
class AnyPort {
 public:
  template <typename P>
  requires(MessagePortLike<P> && !std::same_as<P, AnyPort>) explicit AnyPort(P port)
      : self_(std::make_unique<Model<P, P>>(std::move(port))) {}

  template <MessagePortLike P>
  static AnyPort borrow(P& port) {
    return AnyPort(std::make_unique<Model<P, P&>>(port));
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

  explicit AnyPort(std::unique_ptr<Interface> self) noexcept : self_(std::move(self)) {}

  std::unique_ptr<Interface> self_;
};

static_assert(MessagePortLike<AnyPort>);

}  // namespace sluice
