// Peers: what the kernel offers. Pipes and Unix stream sockets carry bytes: the writer writes whole messages,
// the reader takes as much as there is and cuts it up. Unix seqpacket sockets carry messages.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "harness/channel.hpp"

namespace sluice::bench {

/// An owned descriptor.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

inline void set_nonblocking(int fd, bool on) {
  const auto flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0) {
    throw std::system_error(errno, std::system_category(), "fcntl(O_NONBLOCK)");
  }
}

/// Whether a failed call only means "not now".
inline bool try_again() {
  if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return true;
  throw std::system_error(errno, std::system_category(), "a benchmark's pipe or socket");
}

/// Reads fixed-size messages from a byte stream and writes them to another.
class StreamEnd {
 public:
  StreamEnd(int out, int in, std::size_t message_bytes)
      : out_(out), in_(in), message_bytes_(message_bytes), buffer_(std::max(kReadBytes, 2 * message_bytes)) {}

  void send(Bytes message) const {
    while (!message.empty()) {
      const auto written = write(out_, message.data(), message.size());
      if (written >= 0) {
        message = message.subspan(static_cast<std::size_t>(written));
      } else if (try_again()) {
        cpu_pause();
      }
    }
  }
  template <class Handler>
  void receive(Handler&& handler) {
    while (end_ - begin_ < message_bytes_) refill();
    const Bytes message{buffer_.data() + begin_, message_bytes_};
    begin_ += message_bytes_;
    handler(message);
  }

 private:
  static constexpr std::size_t kReadBytes = std::size_t{64} * 1024;

  void refill() {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (buffer_.size() - begin_ < message_bytes_) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    const auto got = read(in_, buffer_.data() + end_, buffer_.size() - end_);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
    } else if (got == 0) {
      throw std::runtime_error("the stream ended early");
    } else if (try_again()) {
      cpu_pause();
    }
  }

  int out_;
  int in_;
  std::size_t message_bytes_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;  // of what was read and not yet delivered
  std::size_t end_ = 0;
};

/// Two pipes, as large as an unprivileged user may make them.
class Pipes {
 public:
  explicit Pipes(const ChannelOptions& options) : options_(options) {}

  StreamEnd open(Side side) {
    const auto& out = side == Side::first ? there_ : back_;
    const auto& in = side == Side::first ? back_ : there_;
    const auto spinning = options_.wait(side) != Wait::sleep;
    set_nonblocking(out.write_end.get(), spinning);
    set_nonblocking(in.read_end.get(), spinning);
    return {out.write_end.get(), in.read_end.get(), options_.message_bytes};
  }

 private:
  struct Lane {
    static std::array<int, 2> make() {
      std::array<int, 2> fds{};
      if (pipe2(fds.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
      return fds;
    }
    explicit Lane(std::array<int, 2> fds = make()) : read_end(fds[0]), write_end(fds[1]) {
      fcntl(write_end.get(), F_SETPIPE_SZ, 1024 * 1024);  // where refused, the default size stays
    }
    Fd read_end;
    Fd write_end;
  };

  ChannelOptions options_;
  Lane there_;
  Lane back_;
};

/// A Unix socket pair of the given type with large buffers. The file description is shared by the fork, so
/// spinning is chosen for both sides: both must want the same.
class SocketPair {
 public:
  SocketPair(int type, const ChannelOptions& options) : SocketPair(make(type), options) {}
  int fd(Side side) const { return side == Side::first ? first_.get() : second_.get(); }

 private:
  static std::array<int, 2> make(int type) {
    std::array<int, 2> fds{};
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()) != 0) {
      throw std::system_error(errno, std::system_category(), "socketpair");
    }
    return fds;
  }
  SocketPair(std::array<int, 2> fds, const ChannelOptions& options) : first_(fds[0]), second_(fds[1]) {
    for (const auto side : {Side::first, Side::second}) {
      const int bytes = 4 * 1024 * 1024;
      // The first needs a privilege; without it the second takes what the system's limit allows.
      if (setsockopt(fd(side), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
        setsockopt(fd(side), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
      }
      set_nonblocking(fd(side), options.wait(side) != Wait::sleep);
    }
  }

  Fd first_;
  Fd second_;
};

class StreamSocket {
 public:
  explicit StreamSocket(const ChannelOptions& options) : options_(options), pair_(SOCK_STREAM, options) {}
  StreamEnd open(Side side) { return {pair_.fd(side), pair_.fd(side), options_.message_bytes}; }

 private:
  ChannelOptions options_;
  SocketPair pair_;
};

class SeqpacketSocket {
 public:
  explicit SeqpacketSocket(const ChannelOptions& options)
      : options_(options), pair_(SOCK_SEQPACKET, options) {}

  class End {
   public:
    End(int fd, std::size_t message_bytes) : fd_(fd), buffer_(message_bytes) {}
    void send(Bytes message) const {
      while (::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) < 0) {
        if (try_again()) cpu_pause();
      }
    }
    template <class Handler>
    void receive(Handler&& handler) {
      ssize_t got = 0;
      while ((got = recv(fd_, buffer_.data(), buffer_.size(), 0)) < 0) {
        if (try_again()) cpu_pause();
      }
      handler(Bytes{buffer_}.first(static_cast<std::size_t>(got)));
    }

   private:
    int fd_;
    std::vector<std::byte> buffer_;
  };

  End open(Side side) { return {pair_.fd(side), options_.message_bytes}; }

 private:
  ChannelOptions options_;
  SocketPair pair_;
};

}  // namespace sluice::bench
