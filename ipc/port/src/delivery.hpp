// Calls a port's handlers: one thread that waits for messages, and the executor, if any, that runs the
// handlers.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "handler_slot.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "turn.hpp"

namespace sluice::ipc {

/// What delivery needs from its port. Called on the delivery thread, or where the executor runs its work;
/// never both at once.
class DeliverySource {
 public:
  DeliverySource() = default;
  DeliverySource(const DeliverySource&) = delete;
  DeliverySource& operator=(const DeliverySource&) = delete;
  virtual ~DeliverySource() = default;

  /// Waits until there is a message: ok; or why there'll be none.
  virtual Status wait_for_message() noexcept = 0;
  /// Calls the handler for every message that is there: ok when none is left or the handler was taken away;
  /// or why there'll be none. Passes the handler's exceptions on; the message that it threw at counts as
  /// handled.
  virtual Status drain(HandlerSlot<MessageHandler>& handler) = 0;
  /// Why the port broke, in words.
  virtual std::string failure_text() const = 0;
};

/// Threads: handlers' setters and interrupt() from any; the rest by the port's owner.
class Delivery {
 public:
  explicit Delivery(Executor executor) : executor_(std::move(executor)) {}
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;
  ~Delivery() { finish(); }

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler) { return on_error_.exchange(std::move(handler)); }
  CloseHandler on_close(CloseHandler handler) { return on_close_.exchange(std::move(handler)); }

  /// Starts the thread, which keeps `source` alive while it runs. Once; later calls do nothing.
  void start(std::shared_ptr<DeliverySource> source);
  bool started() const noexcept;
  /// Wakes the thread where it waits for a handler to be set: the port was closed here.
  void interrupt() noexcept;
  /// Waits for the thread's end; called inside a handler, lets it end by itself. Then, and with an executor
  /// always, no handler begins any more: the executor may have no thread left but the one that waits here.
  void finish() noexcept;

 private:
  void run(DeliverySource& source);
  void wait_for_handler();
  Status deliver(DeliverySource& source);
  void report_end(DeliverySource& source, Status reason);
  bool run_where_handlers_run(const std::function<void()>& work);
  bool abandon() noexcept;

  Executor executor_;
  HandlerSlot<MessageHandler> on_message_;
  HandlerSlot<ErrorHandler> on_error_;
  HandlerSlot<CloseHandler> on_close_;
  mutable std::mutex mutex_;
  std::condition_variable handler_set_;
  bool interrupted_ = false;    // under mutex_
  bool abandoned_ = false;      // no handler begins any more; under mutex_
  std::shared_ptr<Turn> turn_;  // the last piece of work given to the executor; under mutex_
  std::thread thread_;          // set under mutex_, which the thread takes before anything else
};

}  // namespace sluice::ipc
