#include "sluice/ipc/port/port.hpp"

#include <utility>

#include "port_impl.hpp"
#include "sluice/base/detail/leave_to_parent.hpp"

namespace sluice {

Port::Port(std::shared_ptr<ipc::PortImpl> impl) noexcept
    : impl_(std::move(impl)), core_(impl_.get()), receiver_(core_) {}

Port& Port::operator=(Port&& other) noexcept {
  if (this != &other) {
    finish();
    take(other);
  }
  return *this;
}

void Port::take(Port& other) noexcept {
  impl_ = std::move(other.impl_);
  core_ = std::exchange(other.core_, &ipc::closed_core());
  receiver_ = other.receiver_.exchange(other.core_);
}

Port::~Port() {
  finish();
}

void Port::finish() noexcept {
  if (!impl_) return;
  if (impl_->inherited()) return base::leave_to_parent(std::move(impl_));
  impl_->close();
  impl_->finish();
}

/// Throws errc::misuse in a forked child.
bool Port::connected(const char* call) const {
  if (impl_) impl_->check_not_inherited(call);
  return impl_ != nullptr;
}

MessageHandler Port::on_message(MessageHandler handler) {
  return connected("on_message()") ? impl_->delivery().on_message(std::move(handler)) : MessageHandler();
}
ErrorHandler Port::on_error(ErrorHandler handler) {
  return connected("on_error()") ? impl_->delivery().on_error(std::move(handler)) : ErrorHandler();
}
CloseHandler Port::on_close(CloseHandler handler) {
  return connected("on_close()") ? impl_->delivery().on_close(std::move(handler)) : CloseHandler();
}

void Port::start() {
  if (!impl_) return;
  impl_->check_may_deliver("start()");
  // Before the thread begins: a handler may destroy this.
  ipc::PortCore* const before = receiver_.exchange(&ipc::delivering_core());
  try {
    impl_->delivery().start(impl_);
  } catch (...) {
    receiver_ = before;
    throw;
  }
}
Status Port::run() {
  if (!impl_) return Status::closed;
  impl_->check_may_deliver("run()");
  receiver_ = &ipc::delivering_core();
  const std::shared_ptr<ipc::PortImpl> kept = impl_;  // a handler may destroy this
  return kept->delivery().run();
}
Status Port::wait_closed(Deadline deadline) {
  return impl_ ? impl_->wait_closed(deadline) : Status::closed;
}
void Port::close() noexcept {
  if (impl_) impl_->close();
}

bool Port::is_open() const noexcept {
  return impl_ && impl_->is_open();
}
// In a forked child a session's lock may be held for ever: nothing is known there.
ring::HistoryReader Port::history() const noexcept {
  return impl_ && !impl_->inherited() ? impl_->history() : ipc::closed_history();
}
ring::HistoryReader Port::sent_history() const noexcept {
  return impl_ && !impl_->inherited() ? impl_->sent_history() : ipc::closed_history();
}
std::string Port::failure_text() const {
  return impl_ ? impl_->failure_text() : std::string();
}
PeerIdentity Port::peer() const noexcept {
  return impl_ && !impl_->inherited() ? impl_->peer() : PeerIdentity();
}
std::optional<SessionInfo> Port::session() const noexcept {
  return impl_ && !impl_->inherited() ? impl_->session() : std::nullopt;
}
PortStatistics Port::statistics() const noexcept {
  return impl_ ? impl_->statistics() : PortStatistics();
}

}  // namespace sluice
