#include "sluice/ipc/port/native_port.hpp"

#include <sys/socket.h>

#include <limits>
#include <utility>

#include "delivery.hpp"
#include "native_channel.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/leave_to_parent.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace ipc {

class NativePortImpl final : public DeliverySource {
  // Of the delivering thread: a message that was read and not delivered yet.
  std::span<const std::byte> message_;
  bool waiting_ = false;

 public:
  NativePortImpl(Descriptor input, Descriptor output, NativeChannel::Framing framing,
                 const NativePortOptions& options)
      : channel(std::move(input), std::move(output), framing, options) {}

  static NativePort make_port(std::shared_ptr<NativePortImpl> impl) noexcept {
    return NativePort(std::move(impl));
  }

  void close() noexcept override {
    channel.close();
    delivery.interrupt();
  }

  void check_may_deliver(const char* call) {
    if (delivery.started() || !channel.being_read()) return;
    throw error(errc::misuse, std::string(call) + " on a port while a thread waits in receive()");
  }

  Message receive(const Deadline* deadline) {
    if (delivery.started()) return Message::none(Status::misuse);
    std::span<const std::byte> bytes;
    const Status status = channel.read(bytes, deadline);
    return status == Status::ok ? Message::kept_by_port(bytes) : Message::none(status);
  }

  // What delivery asks for.

  Status wait_for_message() override {
    if (channel.closed_here()) return Status::closed;  // nobody will set a handler for what waits
    if (waiting_) return Status::ok;
    const Status status = channel.read(message_, &kNoDeadline);
    waiting_ = status == Status::ok;
    return status;
  }
  Status deliver_messages(Delivery& to) override { return to.call_handler_for_each_message(*this); }
  ReadResult next_message() {
    const Status status = std::exchange(waiting_, false) ? Status::ok : channel.read(message_, nullptr);
    return {status, {status == Status::ok ? message_ : std::span<const std::byte>(), 0}};
  }
  void release(ring::Sequence /*sequence*/) noexcept {}  // the bytes lie in the channel's buffer
  std::string failure_text() const override { return channel.failure_text(); }
  void note_failure(std::string text) override { channel.note_failure(std::move(text)); }

  const base::OwnerProcess owner;
  NativeChannel channel;
  Delivery delivery{*this, {}};  // last: its thread uses the rest
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
  return ipc::NativePortImpl::make_port(
      std::make_shared<ipc::NativePortImpl>(std::move(input), std::move(output), framing, options));
}

}  // namespace

NativePort::NativePort(std::shared_ptr<ipc::NativePortImpl> impl) noexcept : impl_(std::move(impl)) {}
NativePort::NativePort() noexcept = default;
NativePort::NativePort(NativePort&&) noexcept = default;
NativePort& NativePort::operator=(NativePort&& other) noexcept {
  NativePort taken(std::move(other));
  impl_.swap(taken.impl_);
  return *this;
}
NativePort::~NativePort() {
  finish();
}

void NativePort::finish() noexcept {
  if (!impl_) return;
  if (impl_->owner.inherited()) return base::leave_to_parent(std::move(impl_));
  impl_->close();
  impl_->delivery.finish();
}

/// ok, or why no call does anything.
Status NativePort::may_use() const noexcept {
  if (!impl_) return Status::closed;
  return impl_->owner.inherited() ? Status::forked : Status::ok;
}

/// Throws errc::misuse in a forked child.
bool NativePort::connected() const {
  if (impl_) impl_->owner.check("a port");
  return impl_ != nullptr;
}

Status NativePort::post_message(BytesOrText message) {
  return post_parts_until(message.bytes(), {}, kNoDeadline);
}
Status NativePort::post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                                    Deadline deadline) {
  const Status may = may_use();
  return may == Status::ok ? impl_->channel.write(head, body, deadline) : may;
}

MessageHandler NativePort::on_message(MessageHandler handler) {
  return connected() ? impl_->delivery.on_message(std::move(handler)) : MessageHandler();
}
ErrorHandler NativePort::on_error(ErrorHandler handler) {
  return connected() ? impl_->delivery.on_error(std::move(handler)) : ErrorHandler();
}
CloseHandler NativePort::on_close(CloseHandler handler) {
  return connected() ? impl_->delivery.on_close(std::move(handler)) : CloseHandler();
}
void NativePort::start() {
  if (!connected()) return;
  impl_->check_may_deliver("start()");
  impl_->delivery.start(impl_);
}
Status NativePort::run() {
  if (!connected()) return Status::closed;
  const std::shared_ptr<ipc::NativePortImpl> kept = impl_;  // a handler may destroy this
  kept->check_may_deliver("run()");
  return kept->delivery.run();
}
void NativePort::close() noexcept {
  if (may_use() == Status::ok) impl_->close();
}

bool NativePort::is_open() const noexcept {
  return may_use() == Status::ok && impl_->channel.end() == Status::ok;
}
std::string NativePort::failure_text() const {
  // The lock may have been held when the process was forked.
  if (may_use() == Status::forked) return "the port was inherited through fork()";
  return impl_ ? impl_->failure_text() : std::string();
}
bool NativePort::can_receive() const noexcept {
  return may_use() != Status::ok || !impl_->delivery.started();
}
Message NativePort::try_receive() {
  const Status may = may_use();
  return may == Status::ok ? impl_->receive(nullptr) : Message::none(may);
}
Message NativePort::receive_until(Deadline deadline) {
  const Status may = may_use();
  return may == Status::ok ? impl_->receive(&deadline) : Message::none(may);
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
