#include "delivery.hpp"

#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/error.hpp"
#include "wait_for_thread.hpp"

namespace sluice::ipc {
namespace {

/// What an exception says of itself.
std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& known) {
    return words_of(known);
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace

void end_for_lost_thread() noexcept {
  std::fputs("sluice: pthread_exit() or a cancellation inside a handler or an executor\n", stderr);
  std::abort();
}

void Delivery::start(std::shared_ptr<const void> kept) {
  const std::scoped_lock lock(mutex_);
  if (thread_.joinable() || state_ == State::delivering || state_ == State::over || interrupted_) return;
  const base::SignalsBlocked blocked;
  try {
    thread_ = std::thread([this, kept = std::move(kept)] {
      const CancellationOff no_cancellation;
      begin();
      Status reason = deliver_until_end();
      if (reason == Status::handler_failed) source_.close();
      if (reason != Status::ok) reason = report_end(reason);
      end(reason);
    });
  } catch (const std::system_error& failure) {
    throw error(failure.code(), "starting a port's delivery thread");
  }
  state_ = State::delivering;
  ::pthread_setname_np(thread_.native_handle(), "sluice-deliver");
}

Status Delivery::run() {
  {
    const std::scoped_lock lock(mutex_);
    if (state_ == State::over) return reported_;
    if (thread_.joinable() || state_ == State::delivering)
      throw error(errc::misuse, "run() on a port whose messages are delivered already");
    state_ = State::delivering;
  }
  const CancellationOff no_cancellation;
  begin();
  Status reason = deliver_until_end();
  if (reason != Status::ok && reason != Status::handler_failed) {
    reason = report_end(reason);
    end(reason);
  } else {
    end(Status::ok);
  }
  if (reason == Status::handler_failed) std::rethrow_exception(std::exchange(failure_, {}));
  return reason == Status::ok ? Status::closed : reason;
}

/// The loop. The reason why it ended, or ok if it was abandoned.
Status Delivery::deliver_until_end() noexcept {
  try {
    for (;;) {
      Status status = source_.wait_for_message();
      if (status != Status::ok) return status;
      wait_for_handler();
      if (!run_where_handlers_run([&] { status = source_.deliver_messages(*this); })) return Status::ok;
      if (status != Status::ok) return status;
    }
  } catch (...) {
    note_failure("the executor threw: ");
    return Status::handler_failed;
  }
}

void Delivery::wait_for_handler() {
  if (!on_message_.empty()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return interrupted_ || !on_message_.empty(); });
}

/// False if the work has not begun, and no other will: the port is being destroyed, or the executor threw
/// the work away. Passes on what the executor throws.
bool Delivery::run_where_handlers_run(const std::function<void()>& work) {
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

/// Tells the handlers why the port has ended. Returns that reason; handler_failed if one of them threw, or
/// the executor, and nobody took it; ok if it was abandoned.
Status Delivery::report_end(Status reason) noexcept {
  Status reported = reason;
  const auto tell = [&] {
    if (reason == Status::broken) {
      try {
        call_application([&] { return on_error_.call(PortError{reason, source_.failure_text()}); });
      } catch (...) {
        note_failure("an error handler threw: ");
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
      if (!report_failure("a close handler threw: ")) reported = Status::handler_failed;
    }
  };
  try {
    return run_where_handlers_run(tell) ? reported : Status::ok;
  } catch (...) {
    note_failure("the executor threw: ");
    return Status::handler_failed;
  }
}

/// Calls the close handler if there is one and an end, and none was called before.
void Delivery::tell_close_handler() {
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

CloseHandler Delivery::on_close(CloseHandler handler) {
  CloseHandler before = on_close_.exchange(std::move(handler));
  tell_close_handler();
  return before;
}

/// Tells on_error what is being thrown. False if it isn't set, throws, too, or may not be called any more.
bool Delivery::report_failure(const char* who) noexcept {
  note_failure(who);
  try {
    return !abandoned_ && call_application([&] {
      return on_error_.call(PortError{Status::handler_failed, source_.failure_text()});
    });
  } catch (...) {
    source_.note_failure(source_.failure_text() +
                         "; the error handler threw: " + text_of(std::current_exception()));
    return false;
  }
}

void Delivery::note_failure(const char* who) {
  failure_ = std::current_exception();
  source_.note_failure(who + text_of(failure_));
}

void Delivery::begin() {
  const std::scoped_lock lock(mutex_);  // start() is done with this object: a handler may destroy it
  delivers_on_ = std::this_thread::get_id();
}

void Delivery::end(Status reason) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    state_ = reason == Status::ok ? State::stopped : State::over;
    reported_ = reason;
    delivers_on_ = {};
  }
  changed_.notify_all();
}

MessageHandler Delivery::on_message(MessageHandler handler) {
  MessageHandler before = on_message_.exchange(std::move(handler));
  interrupt_with(false);
  return before;
}

bool Delivery::started() const noexcept {
  const std::scoped_lock lock(mutex_);
  return state_ != State::idle;
}

/// Wakes every waiting thread: each is before its check, or waits.
void Delivery::interrupt_with(bool interrupted) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    interrupted_ = interrupted_ || interrupted;
  }
  changed_.notify_all();
}

Status Delivery::wait_until_over(Deadline deadline, const std::function<Status()>& reason) {
  std::unique_lock lock(mutex_);
  if (delivers_on_ == std::this_thread::get_id())
    throw error(errc::misuse, "wait_closed() inside a handler of the same port");
  const auto over = [&] { return state_ != State::delivering && reason() != Status::ok; };
  if (!changed_.wait_until(lock, deadline, over)) return Status::timed_out;
  return reported_ != Status::ok ? reported_ : reason();
}

void Delivery::finish() noexcept {
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
bool Delivery::abandon() noexcept {
  const std::scoped_lock lock(mutex_);
  const bool on_delivering_thread = delivers_on_ == std::this_thread::get_id();
  if (!executor_ && !on_delivering_thread) return false;
  abandoned_ = true;
  const bool inside_work = turn_ && turn_->call_off();
  return on_delivering_thread || inside_work;
}

}  // namespace sluice::ipc
