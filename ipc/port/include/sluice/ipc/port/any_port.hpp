// One type that holds any message port.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/pull_port.hpp"
#include "sluice/ring/history.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Any message port, behind one type: for code that must not be a template, at the price of a virtual call.
///
///   AnyPort port(connect("orders"));       // takes the port over
///   AnyPort port = AnyPort::borrow(mine);  // refers to a port that outlives it
///
/// Movable. Default-constructed or moved-from it holds nothing, and answers closed. Threads: as
/// MessagePortLike and PullPort.
class AnyPort {
 public:
  AnyPort() noexcept = default;

  template <typename P>
  requires(MessagePortLike<P> && !std::same_as<P, AnyPort>) explicit AnyPort(P port)
      : self_(std::make_unique<ModelOf<P, P>>(std::move(port))) {}

  template <MessagePortLike P>
  static AnyPort borrow(P& port) {
    return AnyPort(std::make_unique<ModelOf<P, P&>>(port));
  }

  Status post_message(BytesOrText message) {
    return self_ ? self_->post_message(message.bytes()) : Status::closed;
  }
  /// Posts `head` followed by `body` as one message. Waits for room until the deadline (timed_out), or for
  /// ever if the held port has no such call; then they are put together first.
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline) {
    return self_ ? self_->post_parts_until(head, body, deadline) : Status::closed;
  }

  MessageHandler on_message(MessageHandler handler) {
    return self_ ? self_->on_message(std::move(handler)) : MessageHandler();
  }
  ErrorHandler on_error(ErrorHandler handler) {
    return self_ ? self_->on_error(std::move(handler)) : ErrorHandler();
  }
  CloseHandler on_close(CloseHandler handler) {
    return self_ ? self_->on_close(std::move(handler)) : CloseHandler();
  }
  void start() {
    if (self_) self_->start();
  }
  void close() {
    if (self_) self_->close();
  }
  bool is_open() const { return self_ && self_->is_open(); }
  /// What was wrong with the peer's data, in words; empty if nothing was, or if the port doesn't say.
  std::string failure_text() const { return self_ ? self_->failure_text() : std::string(); }

  /// Whether messages can be received by calls: the held port is a PullPort, and hasn't been started.
  bool can_receive() const { return self_ && self_->can_receive(); }
  /// Only if can_receive(). The message is the held port's own: nothing is allocated for it.
  Message try_receive() { return self_ ? self_->try_receive() : Message(); }
  Message receive_until(Deadline deadline) { return self_ ? self_->receive_until(deadline) : Message(); }
  /// Whether try_receive costs no system call, so that it may be repeated.
  bool polls_cheaply() const { return self_ && self_->polls_cheaply(); }
  /// Port::sent_history(); nothing if the held port has no ring.
  std::optional<ring::HistoryReader> sent_history() const {
    return self_ ? self_->sent_history() : std::nullopt;
  }

 private:
  struct Interface {
    Interface() = default;
    Interface(const Interface&) = delete;
    Interface& operator=(const Interface&) = delete;
    virtual ~Interface() = default;
    virtual Status post_message(std::span<const std::byte> message) = 0;
    virtual Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                                    Deadline deadline) = 0;
    virtual MessageHandler on_message(MessageHandler handler) = 0;
    virtual ErrorHandler on_error(ErrorHandler handler) = 0;
    virtual CloseHandler on_close(CloseHandler handler) = 0;
    virtual void start() = 0;
    virtual void close() = 0;
    virtual bool is_open() const = 0;
    virtual std::string failure_text() const = 0;
    virtual std::optional<ring::HistoryReader> sent_history() const = 0;
    virtual bool can_receive() const { return false; }
    virtual Message try_receive() { return Message::none(Status::would_block); }
    virtual Message receive_until(Deadline /*deadline*/) { return Message::none(Status::would_block); }
    virtual bool polls_cheaply() const { return false; }
  };

  /// Held is P or P&.
  template <typename P, typename Held>
  struct Model : Interface {
    explicit Model(Held held) : port(static_cast<Held&&>(held)) {}
    Status post_message(std::span<const std::byte> message) override { return port.post_message(message); }
    Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                            Deadline deadline) override {
      if constexpr (requires { port.post_parts_until(head, body, deadline); }) {
        return port.post_parts_until(head, body, deadline);
      } else {
        std::vector<std::byte> message(head.size() + body.size());
        std::ranges::copy(body, std::ranges::copy(head, message.begin()).out);
        return port.post_message(message);
      }
    }
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
    std::optional<ring::HistoryReader> sent_history() const override {
      if constexpr (requires { port.sent_history(); }) {
        return port.sent_history();
      } else {
        return std::nullopt;
      }
    }
    Held port;
  };

  template <typename P, typename Held>
  struct PullModel final : Model<P, Held> {
    using Model<P, Held>::Model;
    using Model<P, Held>::port;
    bool can_receive() const override { return port.can_receive(); }
    Message try_receive() override { return port.try_receive(); }
    Message receive_until(Deadline deadline) override { return port.receive_until(deadline); }
    bool polls_cheaply() const override {
      if constexpr (requires { port.polls_cheaply(); }) {
        return port.polls_cheaply();
      } else {
        return false;
      }
    }
  };

  template <typename P, typename Held>
  using ModelOf = std::conditional_t<PullPort<P>, PullModel<P, Held>, Model<P, Held>>;

  explicit AnyPort(std::unique_ptr<Interface> self) noexcept : self_(std::move(self)) {}

  std::unique_ptr<Interface> self_;
};

static_assert(PullPort<AnyPort>);

}  // namespace sluice

#pragma GCC visibility pop
