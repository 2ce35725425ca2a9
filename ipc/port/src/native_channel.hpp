// Messages over descriptors: framing, and waiting that another thread can end.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/event.hpp"
#include "sluice/base/status.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ring/waiting.hpp"

namespace sluice::ipc {

/// Threads: write by one, read by one, the rest by any.
class NativeChannel {
 public:
  enum class Framing : std::uint8_t { packets, length_prefix };

  /// One descriptor for both directions: `output` empty.
  NativeChannel(Descriptor input, Descriptor output, Framing framing, const NativePortOptions& options);
  NativeChannel(const NativeChannel&) = delete;
  NativeChannel& operator=(const NativeChannel&) = delete;

  Status write(std::span<const std::byte> head, std::span<const std::byte> body, Deadline deadline);

  /// The next message, valid until the next read. Waits until `*deadline`, not at all if that is null.
  Status read(std::span<const std::byte>& message, const Deadline* deadline);
  /// Whether a thread is in read() at present.
  bool being_read();

  /// Ends the waits of both threads, and the connection.
  void close() noexcept;
  Status end() const noexcept { return end_.load(std::memory_order_acquire); }
  bool closed_here() const noexcept { return closed_here_.load(std::memory_order_acquire); }
  std::string failure_text() const;
  void note_failure(std::string text);

 private:
  Status write_rest(std::span<iovec> parts, Deadline deadline);
  ssize_t write_some(std::span<iovec> parts) const noexcept;
  Status take_message(std::span<const std::byte>& message);
  Status fill();
  Status fill_packet(std::span<const std::byte>& message);
  ssize_t read_some(std::span<std::byte> room);
  Status wait(int fd, short events, Deadline deadline) const;
  Status finish(Status reason, const std::string& text = {}) noexcept;
  int output() const noexcept { return output_ ? output_.get() : input_.get(); }

  Framing framing_;
  NativePortOptions options_;
  Descriptor input_;
  Descriptor output_;
  bool input_is_socket_;
  bool output_is_socket_;
  base::Event closing_{"closing a channel"};
  // Set by close(), whichever thread waits sees it at its next look.
  std::atomic<bool> closed_here_{false};
  // Why nothing can be written any more; what the peer wrote before can still be read. Publishes nothing but
  // itself; only ever goes from ok to a reason.
  std::atomic<Status> end_{Status::ok};
  mutable std::mutex text_mutex_;
  std::string text_;

  std::mutex writing_;  // with the next line, held by close() to take the descriptors away
  std::mutex reading_;
  std::vector<std::byte> buffer_;  // the reader's: bytes [begin_, end_of_data_) have come
  std::size_t begin_ = 0;
  std::size_t end_of_data_ = 0;
  Status input_end_ = Status::ok;  // why no more will come; what has come is still read
};

}  // namespace sluice::ipc
