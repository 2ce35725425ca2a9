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

#include "sluice/base/deadline.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/pull_port.hpp"

namespace sluice::ipc {
class NativePortImpl;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice {
struct NativePortOptions {
  /// No message beyond this is sent or accepted (1 .. 2^32 - 1); memory is taken only for bytes that came.
  std::uint64_t max_message_bytes = 16U << 20U;
  /// How long a message that is partly written may wait for the peer to take more. Then the port is broken.
  Duration stall_timeout = std::chrono::seconds(30);
};

/// Satisfies MessagePortLike and PullPort. Ends: closed if the other side closed or died (the kernel tells no
/// difference), broken if a message is cut off or too long, or descriptors come with it. Never raises SIGPIPE.
/// Threads: as there. In a forked child calls return Status::forked, setters of handlers, start() and run()
/// throw errc::misuse, and nothing is touched.
class NativePort {
 public:
  /// Not connected: every call answers closed, as after a move.
  NativePort() noexcept;
  NativePort(NativePort&&) noexcept;
  NativePort& operator=(NativePort&&) noexcept;
  ~NativePort();

  /// ok, too_large, closed, broken. Waits while the peer doesn't read.
  Status post_message(BytesOrText message);
  /// The same for a message in two parts. The deadline (timed_out) holds until the first byte is written.
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline);

  MessageHandler on_message(MessageHandler handler);
  ErrorHandler on_error(ErrorHandler handler);
  CloseHandler on_close(CloseHandler handler);
  void start();
  /// Calls the handlers on this thread until the port has ended; see Port::run().
  Status run();
  void close() noexcept;
  bool is_open() const noexcept;
  /// What was wrong with the peer's data, or with the last refused message; empty if nothing was.
  std::string failure_text() const;

  // Receiving by calls; see PullPort. The bytes lie in the port's own buffer.
  bool can_receive() const noexcept;
  Message try_receive();
  Message receive_until(Deadline deadline);
  Message receive() { return receive_until(kNoDeadline); }

 private:
  friend class ipc::NativePortImpl;
  explicit NativePort(std::shared_ptr<ipc::NativePortImpl> impl) noexcept;
  void finish() noexcept;
  Status may_use() const noexcept;
  bool connected() const;

  std::shared_ptr<ipc::NativePortImpl> impl_;
};

static_assert(PullPort<NativePort>);

/// Takes a connected Unix socket, SOCK_SEQPACKET or SOCK_STREAM. Throws errc::bad_option for anything else,
/// or a system error.
NativePort wrap_native_port(Descriptor socket, const NativePortOptions& options = {});

/// Takes two descriptors that carry bytes, such as the ends of two pipes. Pipes are opened anew if possible:
/// their other holders see no change of mode.
NativePort wrap_native_port(Descriptor input, Descriptor output, const NativePortOptions& options = {});

}  // namespace sluice

#pragma GCC visibility pop
