#include "input.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {

Input::Input(const std::string& path, Kind kind) : name_(path == "-" ? "standard input" : path) {
  if (path != "-") {
    const int flags = kind == Kind::any ? 0 : O_NONBLOCK;  // for the sake of FIFOs
    file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | flags));
    if (!file_) throw_errno("open " + name_);
  }
  const struct stat info = status();
  if (S_ISDIR(info.st_mode)) throw_errno(EISDIR, "read " + name_);
  if (kind == Kind::regular_file && !S_ISREG(info.st_mode))
    throw std::runtime_error(name_ + ": --resume needs a regular file, which can be read a second time");
}

int Input::fd() const noexcept {
  return file_ ? file_.get() : STDIN_FILENO;
}

struct stat Input::status() const {
  struct stat info {};
  if (::fstat(fd(), &info) != 0) throw_errno("read " + name_);
  return info;
}

std::optional<std::uint64_t> Input::size() const {
  const struct stat info = status();
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(info.st_size);
}

bool Input::is_as(const struct stat& before) const {
  const struct stat now = status();
  return now.st_size == before.st_size && now.st_mtim.tv_sec == before.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
}

bool Input::is_file_of(int fd) const {
  return size() && base::is_same_file(this->fd(), fd);
}

void Input::go_to(std::uint64_t offset) const {
  if (::lseek(fd(), static_cast<off_t>(offset), SEEK_SET) < 0) throw_errno("seek in " + name_);
}

std::optional<std::size_t> Input::try_read(std::span<std::byte> room) const {
  const ssize_t count = ::read(fd(), room.data(), room.size());
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno != EINTR && errno != EAGAIN) throw_errno("read " + name_);
  return std::nullopt;
}

}  // namespace sluice::tools
