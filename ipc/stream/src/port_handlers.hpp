// Takes the place of a port's handlers for a while.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "sluice/ipc/port/any_port.hpp"

namespace sluice::ipc {

/// Threads: one sets, any give back; the handlers are called by the port's.
class PortHandlers {
 public:
  explicit PortHandlers(AnyPort& port) noexcept : port_(port) {}

  /// Starts the port, too. What the port reports goes on to the handlers that it had.
  void set(MessageHandler on_message, std::function<void(const PortError&)> on_error,
           std::function<void(Status)> on_close) {
    message_ = port_.on_message(std::move(on_message));
    error_ = put_before(&AnyPort::on_error, std::move(on_error));
    close_ = put_before(&AnyPort::on_close, std::move(on_close));
    set_ = true;
    port_.start();
  }
  /// No handler of ours runs any more when it returns.
  void give_back() {
    if (!set_.exchange(false)) return;
    port_.on_message(std::move(message_));
    // Not moved: our own handlers may be calling them until they are replaced here.
    port_.on_error(error_->handler ? [previous = error_](const PortError& error) { previous->handler(error); }
                                   : ErrorHandler());
    port_.on_close(close_->handler ? [previous = close_](Status reason) { previous->handler(reason); }
                                   : CloseHandler());
  }

 private:
  template <typename Handler>
  struct Previous {
    // Held until it is known. Recursive: a port that has ended calls a close handler inside of the call that
    // sets it, if it had none before.
    std::recursive_mutex mutex;
    Handler handler;
  };

  template <typename Handler, typename Ours>
  std::shared_ptr<Previous<Handler>> put_before(Handler (AnyPort::*setter)(Handler), Ours ours) {
    auto previous = std::make_shared<Previous<Handler>>();
    const std::lock_guard until_known(previous->mutex);
    previous->handler = (port_.*setter)([previous, ours = std::move(ours)](const auto& what) {
      ours(what);
      { const std::lock_guard known(previous->mutex); }
      if (previous->handler) previous->handler(what);
    });
    return previous;
  }

  AnyPort& port_;
  std::atomic<bool> set_{false};  // publishes nothing: whoever gives back first does it all
  MessageHandler message_;
  std::shared_ptr<Previous<ErrorHandler>> error_;
  std::shared_ptr<Previous<CloseHandler>> close_;
};

}  // namespace sluice::ipc
