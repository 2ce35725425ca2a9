#include "sluice/ipc/port/native_port.hpp"

#include <sys/socket.h>

#include <limits>
#include <utility>

#include "delivery.hpp"
#include "native_channel.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace ipc {

class NativePortImpl final : public DeliverySource, public std::enable_shared_from_this<NativePortImpl> {
 public:
  NativePortImpl(Descriptor input, Descriptor output, NativeChannel::Framing framing,
                 const NativePortOptions& options)
      : channel_(std::move(input), std::move(output), framing, options), delivery_({}) {}

  NativeChannel& channel() noexcept { return channel_; }
  const NativeChannel& channel() const noexcept { return channel_; }
  Delivery& delivery() noexcept { return delivery_; }

  void start() { delivery_.start(shared_from_this()); }

  void close() noexcept {
    channel_.close();
    delivery_.interrupt();
  }

  Status wait_for_message() noexcept override {
    if (channel_.closed_here()) return Status::closed;  // nobody will set a handler for what waits
    if (waiting_) return Status::ok;
    const Status status = channel_.read(message_, &kNoDeadline);
    waiting_ = status == Status::ok;
    return status;
  }

  Status drain(HandlerSlot<MessageHandler>& handler) override {
    Status status = Status::ok;
    handler.call_repeatedly([&](MessageHandler& function) {
      if (!std::exchange(waiting_, false)) status = channel_.read(message_, nullptr);
      if (status != Status::ok) return false;
      function(message_);
      return true;
    });
    return status == Status::would_block ? Status::ok : status;
  }

  std::string failure_text() const override { return channel_.failure_text(); }

 private:
  NativeChannel channel_;
  // Of the delivering thread: a message that was read and not delivered yet.
  std::span<const std::byte> message_;
  bool waiting_ = false;
  Delivery delivery_;
};

}  // namespace ipc

namespace {

NativePort make(Descriptor input, Descriptor output, ipc::NativeChannel::Framing framing,
                const NativePortOptions& options) {
  if (options.max_message_bytes < 1 ||
      options.max_message_bytes > std::numeric_limits<std::uint32_t>::max()) {
    throw error(errc::bad_option, "NativePortOptions::max_message_bytes: expected 1 to 4294967295, got " +
                                      std::to_string(options.max_message_bytes));
  }
  return NativePort(
      std::make_shared<ipc::NativePortImpl>(std::move(input), std::move(output), framing, options));
}

}  // namespace

NativePort::NativePort(std::shared_ptr<ipc::NativePortImpl> impl) noexcept : impl_(std::move(impl)) {}
NativePort::NativePort(NativePort&&) noexcept = default;
NativePort& NativePort::operator=(NativePort&& other) noexcept {
  if (this != &other) {
    finish();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
NativePort::~NativePort() {
  finish();
}

void NativePort::finish() noexcept {
  if (!impl_) return;
  impl_->close();
  impl_->delivery().finish();
}

Status NativePort::post_message(std::span<const std::byte> message) {
  return impl_->channel().write(message, {}, kNoDeadline);
}
Status NativePort::post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                                    Deadline deadline) {
  return impl_->channel().write(head, body, deadline);
}
MessageHandler NativePort::on_message(MessageHandler handler) {
  return impl_->delivery().on_message(std::move(handler));
}
ErrorHandler NativePort::on_error(ErrorHandler handler) {
  return impl_->delivery().on_error(std::move(handler));
}
CloseHandler NativePort::on_close(CloseHandler handler) {
  return impl_->delivery().on_close(std::move(handler));
}
void NativePort::start() {
  impl_->start();
}
bool NativePort::is_started() const noexcept {
  return impl_->delivery().started();
}
void NativePort::close() noexcept {
  impl_->close();
}
bool NativePort::is_open() const noexcept {
  return impl_->channel().end() == Status::ok;
}
std::string NativePort::failure_text() const {
  return impl_->failure_text();
}
ReceivedBytes NativePort::receive_bytes(const Deadline* deadline) {
  ReceivedBytes received;
  received.status = impl_->channel().read(received.bytes, deadline);
  return received;
}

NativePort wrap_native_port(Descriptor socket, const NativePortOptions& options) {
  int type = 0;
  int domain = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      ::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) {
    throw error(errc::bad_option, "wrap_native_port: descriptor " + std::to_string(socket.get()) +
                                      " is no socket; give two descriptors for pipes");
  }
  if (domain != AF_UNIX || (type != SOCK_SEQPACKET && type != SOCK_STREAM)) {
    throw error(errc::bad_option,
                "wrap_native_port: expected a SOCK_SEQPACKET or SOCK_STREAM Unix socket, got domain " +
                    std::to_string(domain) + ", type " + std::to_string(type));
  }
  const auto framing = type == SOCK_SEQPACKET ? ipc::NativeChannel::Framing::packets
                                              : ipc::NativeChannel::Framing::length_prefix;
  return make(std::move(socket), Descriptor(), framing, options);
}

NativePort wrap_native_port(Descriptor input, Descriptor output, const NativePortOptions& options) {
  return make(std::move(input), std::move(output), ipc::NativeChannel::Framing::length_prefix, options);
}

}  // namespace sluice
