#include "file_ops.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {

FileOps& file_ops() noexcept {
  static FileOps table{
      .write = [](int fd, const void* bytes, std::size_t size) { return ::write(fd, bytes, size); },
      .fsync = [](int fd) { return ::fsync(fd); },
      .rename = [](int directory, const char* from,
                   const char* to) { return ::renameat(directory, from, directory, to); },
      .open_unnamed =
          [](int directory) { return ::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); },
  };
  return table;
}

void write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = file_ops().write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      if (::poll(&wait, 1, -1) < 0 && errno != EINTR) throw_errno("poll " + name);
    } else if (errno != EINTR) {
      throw_errno("write " + name);
    }
  }
}

void sync_fd(int fd, const std::string& name) {
  if (file_ops().fsync(fd) < 0) throw_errno("fsync " + name);
}

void sync_directory(int fd, const std::string& name) {
  if (file_ops().fsync(fd) < 0 && errno != EINVAL) throw_errno("fsync " + name);
}

bool lock_file(int fd, int how, const std::string& name) {
  while (::flock(fd, how) < 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw_errno("flock " + name);
  }
  return true;
}

}  // namespace sluice::crypto
