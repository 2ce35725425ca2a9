#include "sluice/ipc/port/port.hpp"

#include <array>
#include <cstddef>
#include <new>
#include <utility>

#include "port_impl.hpp"

namespace sluice {

Port::Port(std::shared_ptr<ipc::PortImpl> impl) noexcept : impl_(std::move(impl)), core_(impl_.get()) {}

Port& Port::operator=(Port&& other) noexcept {
  if (this != &other) {
    finish();
    impl_ = std::move(other.impl_);
    core_ = other.core_;
  }
  return *this;
}

Port::~Port() {
  finish();
}

void Port::finish() noexcept {
  if (!impl_) return;
  if (impl_->inherited()) {
    // Threads, locks and the connection belong to the parent: a child can only leave its copy alone.
    using Pointer = std::shared_ptr<ipc::PortImpl>;
    alignas(Pointer) std::array<std::byte, sizeof(Pointer)> never_destroyed;
    new (never_destroyed.data()) Pointer(std::move(impl_));
    return;
  }
  impl_->close();
  impl_->finish();
}

MessageHandler Port::on_message(MessageHandler handler) {
  impl_->check_not_inherited("on_message()");
  return impl_->delivery().on_message(std::move(handler));
}
ErrorHandler Port::on_error(ErrorHandler handler) {
  impl_->check_not_inherited("on_error()");
  return impl_->delivery().on_error(std::move(handler));
}
CloseHandler Port::on_close(CloseHandler handler) {
  impl_->check_not_inherited("on_close()");
  return impl_->delivery().on_close(std::move(handler));
}
ring::HistoryReader Port::history() const noexcept {
  return impl_->history();
}
void Port::start() {
  impl_->start();
}
bool Port::is_started() const noexcept {
  return impl_->delivery().started();
}
void Port::close() noexcept {
  impl_->close();
}
bool Port::is_open() const noexcept {
  return impl_->is_open();
}
std::string Port::failure_text() const {
  return impl_->failure_text();
}
PeerIdentity Port::peer() const noexcept {
  return impl_->peer();
}
std::optional<SessionInfo> Port::session() const noexcept {
  return impl_->session();
}
PortStatistics Port::statistics() const noexcept {
  return impl_->statistics();
}

}  // namespace sluice
