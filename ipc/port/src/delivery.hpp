// From a wake-up to the handler: the delivering thread waits for a message, waits until a handler is set, takes
// its turn where the handlers run, and calls the handler for every message that is there. Then it waits again,
// or reports the end. The way from top to bottom is in delivery.cpp.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "application_call.hpp"
#include "handler_slot.hpp"
#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "turn.hpp"

namespace sluice::ipc {

class Delivery;

/// What is delivered: a port's messages. Called on the delivering thread, or where the executor runs its work,
/// but never at once.
class DeliverySource {
 public:
  /// Waits: ok if there is a message; or why there'll be none.
  virtual Status wait_for_message() = 0;
  /// delivery.call_handler_for_each_message(*this): so the way of a message is inlined from the ring to the
  /// handler.
  virtual Status deliver_messages(Delivery& delivery) = 0;
  /// Why the port broke, in words, and what that says from now on.
  virtual std::string failure_text() const = 0;
  virtual void note_failure(std::string text) = 0;
  /// A handler has failed, and nobody took that.
  virtual void close() noexcept = 0;

 protected:
  ~DeliverySource() = default;
};

/// Threads: the handlers' setters, interrupt(), notice_end() and wait_until_over() any; the rest the port's
/// owner.
class Delivery {
 public:
  Delivery(DeliverySource& source, Executor executor) : source_(source), executor_(std::move(executor)) {}
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;
  ~Delivery() { finish(); }

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler) { return on_error_.exchange(std::move(handler)); }
  /// Set after the end has been reported to none, calls the handler itself.
  CloseHandler on_close(CloseHandler handler);

  /// Delivers on a thread of its own, which keeps the source, and this, by `kept` while it runs. Does nothing if
  /// something delivers already, or did until the end.
  void start(std::shared_ptr<const void> kept);
  /// Delivers on this thread until the port has ended, and returns why; closed also if a handler destroyed
  /// it, or the executor threw work away. Passes on what a handler throws if no error handler takes it, and
  /// what the executor throws. Throws errc::misuse if another thread delivers.
  Status run();
  /// Whether messages go to the handlers: start() or run() was called.
  bool started() const noexcept;
  bool in_message_handler() const noexcept { return on_message_.called_here(); }

  /// Wakes the thread if it waits for a handler to be set: the port was closed here.
  void interrupt() noexcept { interrupt_with(true); }
  /// Wakes who waits for the port's end.
  void notice_end() noexcept { interrupt_with(false); }
  /// Waits until nothing is delivered any more, and `reason()` tells why the port has ended: that reason, or
  /// timed_out. Throws errc::misuse on the delivering thread, which would wait for itself.
  Status wait_until_over(Deadline deadline, const std::function<Status()>& reason);

  /// Waits for the thread's end; called inside a handler, lets it end by itself. Then, and with an executor
  /// always, no handler begins any more: the executor may have no thread left but the one that waits here.
  void finish() noexcept;

  /// Calls the handler until no message is left: ok; or why there'll be none. handler_failed: it threw, and
  /// nobody took that; the message is released when the next one is read. A Source has
  ///
  ///   ReadResult next_message()       ok, would_block, or why there'll be none
  ///   void release(ring::Sequence)    the message is handled
  template <typename Source>
  Status call_handler_for_each_message(Source& source);

 private:
  enum class State : unsigned char { idle, delivering, stopped, over };

  // The way of a message, in this order.
  Status deliver_until_end() noexcept;
  void wait_for_handler();
  bool run_where_handlers_run(const std::function<void()>& work);
  Status report_end(Status reason) noexcept;

  bool report_failure(const char* who) noexcept;
  void note_failure(const char* who);
  void tell_close_handler();
  void begin();
  void end(Status reason) noexcept;
  void interrupt_with(bool interrupted) noexcept;
  bool abandon() noexcept;

  DeliverySource& source_;
  Executor executor_;
  HandlerSlot<MessageHandler> on_message_;
  HandlerSlot<ErrorHandler> on_error_;
  HandlerSlot<CloseHandler> on_close_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  State state_ = State::idle;      // stopped: run() may go on; over: the end has been reported
  Status reported_ = Status::ok;   // why the port had ended when the handlers were told so
  bool interrupted_ = false;       // nobody waits for a handler any more
  bool end_reported_ = false;      // reported_ is what on_close is told, now or when it is set:
  bool close_told_ = false;        // once
  std::thread::id delivers_on_{};  // while state_ is delivering
  std::shared_ptr<Turn> turn_;     // the last piece of work given to the executor
  std::thread thread_;             // set under mutex_, which the thread takes before anything else

  std::atomic<bool> abandoned_{false};  // no handler begins any more
  std::exception_ptr failure_;          // the delivering thread's: what nobody took
};

template <typename Source>
Status Delivery::call_handler_for_each_message(Source& source) {
  Status status = Status::ok;
  on_message_.call_repeatedly([&](MessageHandler& handler) {
    const ReadResult message = source.next_message();
    status = message.status;
    if (status != Status::ok) return false;
    try {
      call_application([&] { handler(message.record.payload); });
    } catch (...) {
      if (!report_failure("a message handler threw: ")) status = Status::handler_failed;
    }
    if (status != Status::ok) return false;
    source.release(message.record.sequence);
    return true;
  });
  return status == Status::would_block ? Status::ok : status;
}

}  // namespace sluice::ipc
