#include "native_channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "sluice/base/detail/little_endian.hpp"
#include "sluice/base/detail/peer_socket.hpp"
#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

constexpr std::size_t kPrefixBytes = 4;
constexpr std::size_t kReadAtOnce = 65536;

mode_t kind_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno("fstat of descriptor " + std::to_string(fd));
  return status.st_mode;
}

/// A descriptor whose reads and writes don't wait. The mode belongs to the open file, which other processes
/// may share: a pipe is opened anew.
Descriptor without_waiting(Descriptor given, int access) {
  const mode_t kind = kind_of(given.get());
  if (S_ISSOCK(kind)) return given;  // each call says so itself
  if (S_ISFIFO(kind)) {
    const std::string path = "/proc/self/fd/" + std::to_string(given.get());
    Descriptor own(::open(path.c_str(), access | O_NONBLOCK | O_CLOEXEC));
    if (own) return own;
  }
  const int flags = ::fcntl(given.get(), F_GETFL);
  if (flags < 0 || ::fcntl(given.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    throw_errno("set O_NONBLOCK on descriptor " + std::to_string(given.get()));
  return given;
}

/// In a Unix socket descriptors may be left, whose close can block.
void close_end(Descriptor end) noexcept {
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  ::getsockopt(end.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  if (domain == AF_UNIX) base::PeerSocket(std::move(end)).close();
}

std::uint64_t total_bytes(std::span<const iovec> parts) noexcept {
  std::uint64_t total = 0;
  for (const iovec& part : parts) total += part.iov_len;
  return total;
}

/// Drops the first `count` bytes.
void drop(std::span<iovec> parts, std::size_t count) noexcept {
  for (iovec& part : parts) {
    const std::size_t here = std::min(count, part.iov_len);
    part.iov_base = static_cast<std::byte*>(part.iov_base) + here;
    part.iov_len -= here;
    count -= here;
  }
}

iovec part_of(std::span<const std::byte> bytes) noexcept {
  // The kernel only reads from it.
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

bool would_wait(int error_number) noexcept {
  return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

/// What a failed read or write says about the peer.
Status end_of_peer(int error_number) noexcept {
  // A reset only says that the other side left something unread.
  return error_number == EPIPE || error_number == ECONNRESET ? Status::closed : Status::broken;
}

}  // namespace

NativeChannel::NativeChannel(Descriptor input, Descriptor output, Framing framing,
                             const NativePortOptions& options)
    : framing_(framing),
      options_(options),
      input_(without_waiting(std::move(input), O_RDONLY)),
      output_(output ? without_waiting(std::move(output), O_WRONLY) : Descriptor()),
      input_is_socket_(S_ISSOCK(kind_of(input_.get()))),
      output_is_socket_(S_ISSOCK(kind_of(this->output()))) {
  if (framing_ != Framing::packets) return;
  // An empty packet and the end look alike, except that packets then carry their sender's credentials.
  const int on = 1;
  if (::setsockopt(input_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    throw_errno("set SO_PASSCRED on a socket");
}

Status NativeChannel::write(std::span<const std::byte> head, std::span<const std::byte> body,
                            Deadline deadline) {
  const std::scoped_lock lock(writing_);
  if (const Status ended = end(); ended != Status::ok) return ended;
  const std::uint64_t bytes = head.size() + body.size();
  if (bytes > options_.max_message_bytes) {
    note_failure("message of " + std::to_string(bytes) + " bytes: expected at most " +
                 std::to_string(options_.max_message_bytes));
    return Status::too_large;
  }
  std::array<std::byte, kPrefixBytes> prefix{};
  base::store_le(prefix, 0, static_cast<std::uint32_t>(bytes));
  std::array<iovec, 3> parts{part_of(prefix), part_of(head), part_of(body)};
  const bool prefixed = framing_ == Framing::length_prefix;
  return write_rest(prefixed ? std::span(parts) : std::span(parts).subspan(1), deadline);
}

Status NativeChannel::write_rest(std::span<iovec> parts, Deadline deadline) {
  std::uint64_t left = total_bytes(parts);
  const std::uint64_t all = left;
  do {
    const ssize_t written = write_some(parts);
    if (written >= 0) {
      if (framing_ == Framing::packets) return Status::ok;
      drop(parts, static_cast<std::size_t>(written));
      left -= static_cast<std::uint64_t>(written);
      continue;
    }
    if (errno == EMSGSIZE) return Status::too_large;
    if (!would_wait(errno)) {
      return finish(end_of_peer(errno),
                    "write to descriptor " + std::to_string(output()) + ": errno " + std::to_string(errno));
    }
    // A message that has begun must be finished: the peer could make nothing of what follows its first half.
    const bool begun = left != all;
    const Status status = wait(output(), POLLOUT, begun ? deadline_in(options_.stall_timeout) : deadline);
    if (status == Status::timed_out && begun)
      return finish(Status::broken, "the peer stopped reading inside a message");
    if (status != Status::ok) return status;
  } while (left > 0);
  return Status::ok;
}

ssize_t NativeChannel::write_some(std::span<iovec> parts) const noexcept {
  if (output_is_socket_) {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::sendmsg(output(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  return base::without_broken_pipe_signal(
      total_bytes(parts), [&] { return ::writev(output(), parts.data(), static_cast<int>(parts.size())); });
}

Status NativeChannel::read(std::span<const std::byte>& message, const Deadline* deadline) {
  const std::scoped_lock lock(reading_);
  for (;;) {
    if (closed_here_.load(std::memory_order_acquire)) return Status::closed;
    Status status = framing_ == Framing::packets ? fill_packet(message) : take_message(message);
    if (status != Status::would_block) return status;
    if (framing_ == Framing::length_prefix) {
      status = fill();
      if (status == Status::ok) continue;
    }
    if (status != Status::would_block || deadline == nullptr) return status;
    status = wait(input_.get(), POLLIN, *deadline);
    if (status != Status::ok) return status;
  }
}

bool NativeChannel::being_read() {
  const std::unique_lock lock(reading_, std::try_to_lock);
  return !lock.owns_lock();
}

/// The next message of those bytes that have come.
Status NativeChannel::take_message(std::span<const std::byte>& message) {
  const std::size_t come = end_of_data_ - begin_;
  std::uint64_t length = 0;
  if (come >= kPrefixBytes) {
    length = base::load_le<std::uint32_t>(buffer_, begin_);
    if (length > options_.max_message_bytes) {
      return finish(Status::broken, "the peer announces a message of " + std::to_string(length) +
                                        " bytes, expected at most " +
                                        std::to_string(options_.max_message_bytes));
    }
    if (come - kPrefixBytes >= length) {
      message = std::span<const std::byte>(buffer_).subspan(begin_ + kPrefixBytes, length);
      begin_ += kPrefixBytes + length;
      return Status::ok;
    }
  }
  if (input_end_ == Status::ok) return Status::would_block;
  if (come == 0) return finish(input_end_);
  const std::string expected =
      come < kPrefixBytes ? "a length of 4 bytes" : "a message of " + std::to_string(length) + " bytes";
  return finish(Status::broken, "the peer ended inside " + expected + ": " + std::to_string(come) +
                                    " bytes came, the length included");
}

/// Reads what is there: ok if something came, or the end.
Status NativeChannel::fill() {
  if (begin_ == end_of_data_) begin_ = end_of_data_ = 0;
  if (buffer_.size() - end_of_data_ < kReadAtOnce / 2) {
    if (begin_ != 0) {
      std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
                buffer_.begin() + static_cast<std::ptrdiff_t>(end_of_data_), buffer_.begin());
      end_of_data_ -= begin_;
      begin_ = 0;
    }
    // In proportion to what has really come: a length alone takes no memory.
    if (buffer_.size() - end_of_data_ < kReadAtOnce) buffer_.resize(end_of_data_ * 2 + kReadAtOnce);
  }
  const ssize_t got = read_some(std::span(buffer_).subspan(end_of_data_));
  if (got > 0) {
    end_of_data_ += static_cast<std::size_t>(got);
    return Status::ok;
  }
  if (got < 0 && would_wait(errno)) return Status::would_block;
  input_end_ = got == 0 ? Status::closed : end_of_peer(errno);
  return Status::ok;
}

/// Descriptors belong to no message: a peer that sends some breaks a rule.
ssize_t NativeChannel::read_some(std::span<std::byte> room) {
  if (!input_is_socket_) return ::read(input_.get(), room.data(), room.size());
  base::ControlBuffer control;
  iovec part{room.data(), room.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const ssize_t got = ::recvmsg(input_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  std::vector<Descriptor> descriptors = base::take_descriptors(message);
  if (descriptors.empty()) return got;
  (void)finish(Status::broken,
               "the peer sent " + std::to_string(descriptors.size()) + " descriptors, expected none");
  base::close_aside(std::move(descriptors));
  errno = EPROTO;
  return -1;
}

Status NativeChannel::fill_packet(std::span<const std::byte>& message) {
  // Looks at the packet's size first. Its descriptors stay in the queue.
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(ucred))> control{};
  msghdr peek{};
  peek.msg_control = control.data();
  peek.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(input_.get(), &peek, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (size < 0) return would_wait(errno) ? Status::would_block : finish(end_of_peer(errno));
  if (size == 0 && CMSG_FIRSTHDR(&peek) == nullptr) return finish(Status::closed);
  const auto bytes = static_cast<std::size_t>(size);
  if (bytes > options_.max_message_bytes) {
    return finish(Status::broken, "the peer sent a packet of " + std::to_string(bytes) +
                                      " bytes, expected at most " +
                                      std::to_string(options_.max_message_bytes));
  }
  if (buffer_.size() < bytes + 1) buffer_.resize(bytes + 1);
  const ssize_t got = read_some(buffer_);
  if (got < 0) return would_wait(errno) ? Status::would_block : finish(end_of_peer(errno));
  message = std::span<const std::byte>(buffer_).first(static_cast<std::size_t>(got));
  return Status::ok;
}

Status NativeChannel::wait(int fd, short events, Deadline deadline) const {
  std::array<pollfd, 2> entries{pollfd{.fd = fd, .events = events, .revents = 0},
                                pollfd{.fd = closing_.fd(), .events = POLLIN, .revents = 0}};
  const bool came = base::wait_for_any_event(entries, deadline);
  if (closed_here_.load(std::memory_order_acquire)) return Status::closed;
  return came ? Status::ok : Status::timed_out;
}

void NativeChannel::close() noexcept {
  if (closed_here_.exchange(true, std::memory_order_acq_rel)) return;
  (void)finish(Status::closed);
  closing_.set();
  // Both threads leave when they see it; then the peer sees the end.
  const std::scoped_lock lock(writing_, reading_);
  if (input_is_socket_ && input_) ::shutdown(input_.get(), SHUT_RDWR);
  close_end(std::move(input_));
  close_end(std::move(output_));
}

Status NativeChannel::finish(Status reason, const std::string& text) noexcept {
  Status none = Status::ok;
  if (end_.compare_exchange_strong(none, reason, std::memory_order_acq_rel) && !text.empty())
    note_failure(text);
  return none == Status::ok ? reason : none;
}

void NativeChannel::note_failure(std::string text) {
  const std::scoped_lock lock(text_mutex_);
  text_ = std::move(text);
}

std::string NativeChannel::failure_text() const {
  const std::scoped_lock lock(text_mutex_);
  return text_;
}

}  // namespace sluice::ipc
