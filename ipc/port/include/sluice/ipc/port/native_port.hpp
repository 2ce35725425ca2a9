// A message port over what the operating system has anyway: a Unix socket, or a pair of pipes. For peers that
// share no memory with us.
//
//   sluice::NativePort port = sluice::wrap_native_port(std::move(socket));
//   sluice::NativePort port = sluice::wrap_native_port(Descriptor(dup(0)), Descriptor(dup(1)));
//   sluice::send_port_stream(port, blocks);
//
// On a SOCK_SEQPACKET socket each packet is a message. On a stream socket and on pipes each message is
// preceded by its length, a u32 little-endian.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/detail/port_operations.hpp"
#include "sluice/ipc/port/message_port.hpp"

namespace sluice {
namespace ipc {
class NativePortImpl;
}

struct NativePortOptions {
  /// No message beyond this is sent or accepted (1 .. 2^32 - 1); memory is taken only for bytes that came.
  std::uint64_t max_message_bytes = 16U << 20U;
  /// How long a message that is partly written may wait for the peer to take more. Then the port is broken.
  std::chrono::nanoseconds stall_timeout = std::chrono::seconds(30);
};

/// Satisfies MessagePortLike, and can be read by calls. Ends: closed where the other side closed or died (the
/// kernel tells no difference), broken where a message is cut off or too long. Never raises SIGPIPE. Threads:
/// as MessagePortLike; receive_bytes: one thread, not after start().
class NativePort {
 public:
  NativePort(NativePort&&) noexcept;
  NativePort& operator=(NativePort&&) noexcept;
  ~NativePort();

  /// ok, too_large, closed, broken. Waits while the peer doesn't read.
  Status post_message(std::span<const std::byte> message);
  /// The same for a message in two parts. The deadline (timed_out) holds until the first byte is written.
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline);

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler);
  CloseHandler on_close(CloseHandler handler);
  void start();
  bool is_started() const noexcept;
  void close() noexcept;
  bool is_open() const noexcept;
  /// What was wrong with the peer's data, or with the last refused message; empty if nothing was.
  std::string failure_text() const;

  // Reading by calls; see AnyPort.
  bool can_receive() const noexcept { return !is_started(); }
  ReceivedBytes receive_bytes(const Deadline* deadline);
  void release_bytes() noexcept {}  // the bytes lie in the port's own buffer

  /// For the library's own factories.
  explicit NativePort(std::shared_ptr<ipc::NativePortImpl> impl) noexcept;

 private:
  void finish() noexcept;
  std::shared_ptr<ipc::NativePortImpl> impl_;
};

static_assert(MessagePortLike<NativePort>);

/// Takes a connected Unix socket, SOCK_SEQPACKET or SOCK_STREAM. Throws errc::bad_option for anything else,
/// or a system error.
NativePort wrap_native_port(Descriptor socket, const NativePortOptions& options = {});

/// Takes two descriptors that carry bytes, such as the ends of two pipes. Pipes are opened anew where
/// possible, so that their other holders see no change of mode.
NativePort wrap_native_port(Descriptor input, Descriptor output, const NativePortOptions& options = {});

}  // namespace sluice
