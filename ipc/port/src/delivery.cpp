#include "delivery.hpp"

#include <pthread.h>

#include <exception>
#include <utility>

#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace

MessageHandler Delivery::on_message(MessageHandler handler) {
  MessageHandler before = on_message_.exchange(std::move(handler));
  {
    const std::scoped_lock lock(mutex_);  // the thread is before its check, or waits
  }
  handler_set_.notify_all();
  return before;
}

void Delivery::start(std::shared_ptr<DeliverySource> source) {
  const std::scoped_lock lock(mutex_);
  if (thread_.joinable() || interrupted_) return;
  const base::SignalsBlocked blocked;
  try {
    thread_ = std::thread([this, source = std::move(source)] { run(*source); });
  } catch (const std::system_error& failure) {
    throw error(failure.code(), "starting a port's delivery thread");
  }
  ::pthread_setname_np(thread_.native_handle(), "sluice-deliver");
}

bool Delivery::started() const noexcept {
  const std::scoped_lock lock(mutex_);
  return thread_.joinable();
}

void Delivery::interrupt() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    interrupted_ = true;
  }
  handler_set_.notify_all();
}

void Delivery::finish() noexcept {
  if (!thread_.joinable()) return;
  if (abandon()) {
    thread_.detach();  // it holds its source, and with it this object, until it ends
  } else {
    thread_.join();
  }
}

/// Keeps further handlers from beginning where finish() couldn't wait for them; whether it is called inside
/// one.
bool Delivery::abandon() noexcept {
  const std::scoped_lock lock(mutex_);
  const bool on_delivery_thread = thread_.get_id() == std::this_thread::get_id();
  if (!executor_ && !on_delivery_thread) return false;
  abandoned_ = true;
  const bool inside_work = turn_ && turn_->call_off();
  return on_delivery_thread || inside_work;
}

void Delivery::run(DeliverySource& source) {
  { const std::scoped_lock lock(mutex_); }  // start() is done with this object: a handler may destroy it
  Status status = Status::ok;
  while (status == Status::ok) {
    status = source.wait_for_message();
    if (status != Status::ok) break;
    wait_for_handler();
    if (!run_where_handlers_run([&] { status = deliver(source); })) return;
  }
  run_where_handlers_run([&] { report_end(source, status); });
}

void Delivery::wait_for_handler() {
  if (!on_message_.empty()) return;
  std::unique_lock lock(mutex_);
  handler_set_.wait(lock, [this] { return interrupted_ || !on_message_.empty(); });
}

Status Delivery::deliver(DeliverySource& source) {
  try {
    return source.drain(on_message_);
  } catch (...) {
    const PortError error{Status::ok, "a message handler threw: " + text_of(std::current_exception())};
    // Without an error handler the exception goes where an uncaught one goes.
    if (!on_error_.call(error)) throw;
    return Status::ok;
  }
}

/// False where the work has not begun, and no other will: the port is being destroyed, or the executor threw
/// the work away.
bool Delivery::run_where_handlers_run(const std::function<void()>& work) {
  if (!executor_) {
    // Without the lock: where there is no executor, only this thread sets it.
    if (!abandoned_) work();
    return !abandoned_;
  }
  const auto turn = std::make_shared<Turn>(work);
  {
    const std::scoped_lock lock(mutex_);
    if (abandoned_) return false;
    turn_ = turn;
  }
  executor_(turn->piece());
  return turn->wait();
}

void Delivery::report_end(DeliverySource& source, Status reason) {
  if (reason == Status::broken) on_error_.call(PortError{reason, source.failure_text()});
  on_close_.call(reason);
}

}  // namespace sluice::ipc
