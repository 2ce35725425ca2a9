// From a wake-up to the handler, top to bottom: the delivering thread waits for a message, waits until a
// handler is set, takes its turn where the handlers run, and calls the handler for every message that is
// there. Then it waits again, or reports the end.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "application_call.hpp"
#include "handler_slot.hpp"
#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "turn.hpp"
#include "wait_for_thread.hpp"

namespace sluice::ipc {

/// What an exception says of itself.
std::string text_of(const std::exception_ptr& failure);

/// Delivers a Source's messages. A Source has
///
///   Status wait_for_message()       waits: ok if there is a message; or why there'll be none
///   ReadResult next_message()       ok, would_block, or why there'll be none
///   void release(ring::Sequence)    the message is handled
///   std::string failure_text()      why the port broke, in words
///   void note_failure(std::string)  what failure_text() says from now on
///   void close()                    a handler has failed, and nobody took that
///
/// They are called on the delivering thread, or where the executor runs its work, but never at once. A
/// template, so that the way of a message is inlined from the ring to the handler.
///
/// Threads: the handlers' setters, interrupt(), notice_end() and wait_until_over() any; the rest the port's
/// owner.
template <typename Source>
class Delivery {
 public:
  explicit Delivery(Executor executor) : executor_(std::move(executor)) {}
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;
  ~Delivery() { finish(); }

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler) { return on_error_.exchange(std::move(handler)); }
  /// Set after the end has been reported to none, calls the handler itself.
  CloseHandler on_close(CloseHandler handler);

  /// Delivers on a thread of its own, which keeps `source` alive while it runs. Does nothing if something
  /// delivers already, or did until the end.
  void start(std::shared_ptr<Source> source);
  /// Delivers on this thread until the port has ended, and returns why; closed also if a handler destroyed
  /// it, or the executor threw work away. Passes on what a handler throws if no error handler takes it, and
  /// what the executor throws. Throws errc::misuse if another thread delivers.
  Status run(const std::shared_ptr<Source>& source);
  /// Whether messages go to the handlers: start() or run() was called.
  bool started() const noexcept;
  bool in_message_handler() const noexcept { return on_message_.called_here(); }

  /// Wakes the thread if it waits for a handler to be set: the port was closed here.
  void interrupt() noexcept;
  /// Wakes who waits for the port's end.
  void notice_end() noexcept { interrupt_with(false); }
  /// Waits until nothing is delivered any more, and `reason()` tells why the port has ended: that reason, or
  /// timed_out. Throws errc::misuse on the delivering thread, which would wait for itself.
  template <typename Reason>
  Status wait_until_over(Deadline deadline, Reason reason);

  /// Waits for the thread's end; called inside a handler, lets it end by itself. Then, and with an executor
  /// always, no handler begins any more: the executor may have no thread left but the one that waits here.
  void finish() noexcept;

 private:
  enum class State : unsigned char { idle, delivering, stopped, over };

  // The way of a message, in this order.
  Status deliver_until_end(Source& source) noexcept;
  void wait_for_handler();
  bool run_where_handlers_run(const std::function<void()>& work);
  Status call_handler_for_each_message(Source& source);
  Status report_end(Source& source, Status reason) noexcept;

  bool report_failure(Source& source, const char* who) noexcept;
  void note_failure(Source& source, const char* who);
  void tell_close_handler();
  void begin();
  void end(Status reason) noexcept;
  void interrupt_with(bool interrupted) noexcept;
  bool abandon() noexcept;

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
void Delivery<Source>::start(std::shared_ptr<Source> source) {
  const std::scoped_lock lock(mutex_);
  if (thread_.joinable() || state_ == State::delivering || state_ == State::over || interrupted_) return;
  const base::SignalsBlocked blocked;
  try {
    thread_ = std::thread([this, source = std::move(source)] {
      const CancellationOff no_cancellation;
      begin();
      Status reason = deliver_until_end(*source);
      if (reason == Status::handler_failed) source->close();
      if (reason != Status::ok) reason = report_end(*source, reason);
      end(reason);
    });
  } catch (const std::system_error& failure) {
    throw error(failure.code(), "starting a port's delivery thread");
  }
  state_ = State::delivering;
  ::pthread_setname_np(thread_.native_handle(), "sluice-deliver");
}

template <typename Source>
Status Delivery<Source>::run(const std::shared_ptr<Source>& source) {
  {
    const std::scoped_lock lock(mutex_);
    if (state_ == State::over) return reported_;
    if (thread_.joinable() || state_ == State::delivering)
      throw error(errc::misuse, "run() on a port whose messages are delivered already");
    state_ = State::delivering;
  }
  const CancellationOff no_cancellation;
  begin();
  Status reason = deliver_until_end(*source);
  if (reason != Status::ok && reason != Status::handler_failed) {
    reason = report_end(*source, reason);
    end(reason);
  } else {
    end(Status::ok);
  }
  if (reason == Status::handler_failed) std::rethrow_exception(std::exchange(failure_, {}));
  return reason == Status::ok ? Status::closed : reason;
}

/// The loop. The reason why it ended, or ok if it was abandoned.
template <typename Source>
Status Delivery<Source>::deliver_until_end(Source& source) noexcept {
  try {
    for (;;) {
      Status status = source.wait_for_message();
      if (status != Status::ok) return status;
      wait_for_handler();
      if (!run_where_handlers_run([&] { status = call_handler_for_each_message(source); })) return Status::ok;
      if (status != Status::ok) return status;
    }
  } catch (...) {
    note_failure(source, "the executor threw: ");
    return Status::handler_failed;
  }
}

template <typename Source>
void Delivery<Source>::wait_for_handler() {
  if (!on_message_.empty()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return interrupted_ || !on_message_.empty(); });
}

/// False if the work has not begun, and no other will: the port is being destroyed, or the executor threw
/// the work away. Passes on what the executor throws.
template <typename Source>
bool Delivery<Source>::run_where_handlers_run(const std::function<void()>& work) {
  if (!executor_) {
    if (!abandoned_) work();
    return !abandoned_;
  }
  const auto turn = std::make_shared<Turn>(work);
  {
    const std::scoped_lock lock(mutex_);
    if (abandoned_) return false;
    turn_ = turn;
  }
  try {
    call_application([&] { executor_(turn->piece()); });
  } catch (...) {
    turn->call_off();
    turn->wait();  // it may have begun
    throw;
  }
  return turn->wait();
}

/// Calls the handler until no message is left: ok; or why there'll be none. handler_failed: it threw, and
/// nobody took that; the message is released when the next one is read.
template <typename Source>
Status Delivery<Source>::call_handler_for_each_message(Source& source) {
  Status status = Status::ok;
  on_message_.call_repeatedly([&](MessageHandler& handler) {
    const ReadResult message = source.next_message();
    status = message.status;
    if (status != Status::ok) return false;
    try {
      call_application([&] { handler(message.record.payload); });
    } catch (...) {
      if (!report_failure(source, "a message handler threw: ")) status = Status::handler_failed;
    }
    if (status != Status::ok) return false;
    source.release(message.record.sequence);
    return true;
  });
  return status == Status::would_block ? Status::ok : status;
}

/// Tells the handlers why the port has ended. Returns that reason; handler_failed if one of them threw, or
/// the executor, and nobody took it; ok if it was abandoned.
template <typename Source>
Status Delivery<Source>::report_end(Source& source, Status reason) noexcept {
  Status reported = reason;
  const auto tell = [&] {
    if (reason == Status::broken) {
      try {
        call_application([&] { return on_error_.call(PortError{reason, source.failure_text()}); });
      } catch (...) {
        note_failure(source, "an error handler threw: ");
        reported = Status::handler_failed;
      }
    }
    {
      const std::scoped_lock lock(mutex_);
      reported_ = reason;
      end_reported_ = true;
    }
    try {
      tell_close_handler();
    } catch (...) {
      if (!report_failure(source, "a close handler threw: ")) reported = Status::handler_failed;
    }
  };
  try {
    return run_where_handlers_run(tell) ? reported : Status::ok;
  } catch (...) {
    note_failure(source, "the executor threw: ");
    return Status::handler_failed;
  }
}

/// Calls the close handler if there is one and an end, and none was called before.
template <typename Source>
void Delivery<Source>::tell_close_handler() {
  const auto to_tell = [this]() -> std::optional<Status> {
    const std::scoped_lock lock(mutex_);
    if (!end_reported_ || on_close_.empty() || std::exchange(close_told_, true)) return std::nullopt;
    return reported_;  // end() may write it while the handler runs
  };
  for (auto reason = to_tell(); reason && !call_application([&] { return on_close_.call(*reason); });
       reason = to_tell()) {
    const std::scoped_lock lock(mutex_);
    close_told_ = false;  // it was taken away meanwhile
  }
}

template <typename Source>
CloseHandler Delivery<Source>::on_close(CloseHandler handler) {
  CloseHandler before = on_close_.exchange(std::move(handler));
  tell_close_handler();
  return before;
}

/// Tells on_error what is being thrown. False if it isn't set, throws, too, or may not be called any more.
template <typename Source>
bool Delivery<Source>::report_failure(Source& source, const char* who) noexcept {
  note_failure(source, who);
  try {
    return !abandoned_ && call_application([&] {
      return on_error_.call(PortError{Status::handler_failed, source.failure_text()});
    });
  } catch (...) {
    source.note_failure(source.failure_text() +
                        "; the error handler threw: " + text_of(std::current_exception()));
    return false;
  }
}

template <typename Source>
void Delivery<Source>::note_failure(Source& source, const char* who) {
  failure_ = std::current_exception();
  source.note_failure(who + text_of(failure_));
}

template <typename Source>
void Delivery<Source>::begin() {
  const std::scoped_lock lock(mutex_);  // start() is done with this object: a handler may destroy it
  delivers_on_ = std::this_thread::get_id();
}

template <typename Source>
void Delivery<Source>::end(Status reason) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    state_ = reason == Status::ok ? State::stopped : State::over;
    reported_ = reason;
    delivers_on_ = {};
  }
  changed_.notify_all();
}

template <typename Source>
MessageHandler Delivery<Source>::on_message(MessageHandler handler) {
  MessageHandler before = on_message_.exchange(std::move(handler));
  interrupt_with(false);
  return before;
}

template <typename Source>
bool Delivery<Source>::started() const noexcept {
  const std::scoped_lock lock(mutex_);
  return state_ != State::idle;
}

template <typename Source>
void Delivery<Source>::interrupt() noexcept {
  interrupt_with(true);
}

/// Wakes every waiting thread: each is before its check, or waits.
template <typename Source>
void Delivery<Source>::interrupt_with(bool interrupted) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    interrupted_ = interrupted_ || interrupted;
  }
  changed_.notify_all();
}

template <typename Source>
template <typename Reason>
Status Delivery<Source>::wait_until_over(Deadline deadline, Reason reason) {
  std::unique_lock lock(mutex_);
  if (delivers_on_ == std::this_thread::get_id())
    throw error(errc::misuse, "wait_closed() inside a handler of the same port");
  const auto over = [&] { return state_ != State::delivering && reason() != Status::ok; };
  if (deadline == kNoDeadline) {
    changed_.wait(lock, over);
  } else if (!changed_.wait_until(lock, deadline, over)) {
    return Status::timed_out;
  }
  return reported_ != Status::ok ? reported_ : reason();
}

template <typename Source>
void Delivery<Source>::finish() noexcept {
  const bool inside_handler = abandon();
  if (!thread_.joinable()) return;
  const WaitForThread wait(thread_.get_id());
  if (inside_handler || !wait.will_end()) {
    abandoned_ = true;
    thread_.detach();  // it holds its source, and with it this object, until it ends
  } else {
    thread_.join();
  }
}

/// Keeps further handlers from beginning if finish() can't wait for them; whether it is called inside one.
template <typename Source>
bool Delivery<Source>::abandon() noexcept {
  const std::scoped_lock lock(mutex_);
  const bool on_delivering_thread = delivers_on_ == std::this_thread::get_id();
  if (!executor_ && !on_delivering_thread) return false;
  abandoned_ = true;
  const bool inside_work = turn_ && turn_->call_off();
  return on_delivering_thread || inside_work;
}

}  // namespace sluice::ipc
