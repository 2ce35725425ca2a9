#include "sluice/base/detail/file_io.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice::base {
namespace {

struct DirectoryCloser {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

// Calls `transfer` with what is left of `bytes` until nothing is, or the file ends; returns how much it took.
template <typename Byte, typename Transfer>
std::size_t go_on_until_done(std::span<Byte> bytes, Transfer transfer, int fd, short events,
                             const std::string& name) {
  const bool reading = events == POLLIN;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = transfer(bytes.subspan(done), done);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0 && reading) {
      break;
    } else if (count < 0 && errno == EAGAIN) {
      (void)wait_for_events(fd, events, kNoDeadline);
    } else if (count < 0 && errno != EINTR) {
      throw_errno((reading ? "read " : "write ") + name);
    }
  }
  return done;
}

// A write beyond RLIMIT_FSIZE would end the process by SIGXFSZ, unless the program ignores that.
void check_size_limit(int fd, std::size_t size, std::optional<std::uint64_t> offset,
                      const std::string& name) {
  rlimit limit{};
  struct stat info {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return;
  if (!offset) {
    const bool appends = (::fcntl(fd, F_GETFL) & O_APPEND) != 0;
    offset = static_cast<std::uint64_t>(appends ? info.st_size : ::lseek(fd, 0, SEEK_CUR));
  }
  if (size > limit.rlim_cur || *offset > limit.rlim_cur - size) throw_errno(EFBIG, "write " + name);
}

}  // namespace

FileOps& file_ops() noexcept {
  static FileOps table{
      .write = [](int fd, const void* bytes, std::size_t size) { return ::write(fd, bytes, size); },
      .fsync = [](int fd) { return ::fsync(fd); },
      .rename = [](int directory, const char* from,
                   const char* to) { return ::renameat(directory, from, directory, to); },
      .open_unnamed =
          [](int directory, mode_t mode) {
            return ::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
          },
  };
  return table;
}

void write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  check_size_limit(fd, bytes.size(), std::nullopt, name);
  struct stat info {};
  const bool is_file = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const auto write = [&](std::span<const std::byte> rest, std::size_t) {
    const auto write_once = [&] { return file_ops().write(fd, rest.data(), rest.size()); };
    return is_file ? write_once() : without_broken_pipe_signal(rest.size(), write_once);
  };
  go_on_until_done(bytes, write, fd, POLLOUT, name);
}

void write_all_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset, const std::string& name) {
  check_size_limit(fd, bytes.size(), offset, name);
  const auto write = [&](std::span<const std::byte> rest, std::size_t done) {
    return ::pwrite(fd, rest.data(), rest.size(), static_cast<off_t>(offset + done));
  };
  go_on_until_done(bytes, write, fd, POLLOUT, name);
}

std::size_t read_all(int fd, std::span<std::byte> room, const std::string& name) {
  const auto read = [fd](std::span<std::byte> rest, std::size_t) {
    return ::read(fd, rest.data(), rest.size());
  };
  return go_on_until_done(room, read, fd, POLLIN, name);
}

std::size_t read_all_at(int fd, std::span<std::byte> room, std::uint64_t offset, const std::string& name) {
  const auto read = [&](std::span<std::byte> rest, std::size_t done) {
    return ::pread(fd, rest.data(), rest.size(), static_cast<off_t>(offset + done));
  };
  return go_on_until_done(room, read, fd, POLLIN, name);
}

void sync_file(int fd, const std::string& name) {
  if (file_ops().fsync(fd) < 0) throw_errno("fsync " + name);
}

void sync_if_possible(int fd, const std::string& name) {
  // EINVAL, EROFS: it is of such a kind, see fsync(2).
  if (file_ops().fsync(fd) < 0 && errno != EINVAL && errno != EROFS) throw_errno("fsync " + name);
}

bool lock_file(int fd, const std::string& name) {
  while (::flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw_errno("flock " + name);
  }
  return true;
}

bool lock_file_in_time(int fd, const std::string& name, std::chrono::seconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!lock_file(fd, name)) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

bool is_same_file(int one, int other) noexcept {
  struct stat first {};
  struct stat second {};
  return ::fstat(one, &first) == 0 && ::fstat(other, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

bool is_named(int fd, int directory, const std::string& name) noexcept {
  struct stat ours {};
  struct stat named {};
  return ::fstat(fd, &ours) == 0 && ::fstatat(directory, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

Descriptor open_regular_file(const std::filesystem::path& path) {
  const auto refuse = [&] { throw error(errc::unsafe_place, path.string() + ": expected a regular file"); };
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd && errno == ENXIO) refuse();  // a socket
  if (!fd) throw_errno("open " + path.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) throw_errno("fstat " + path.string());
  if (!S_ISREG(status.st_mode)) refuse();
  return fd;
}

std::vector<std::string> names_in(int directory, const std::string& name) {
  // A descriptor of its own: a copy made by dup() would share the place in the list.
  Descriptor list(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!list) throw_errno("open " + name + " to list it");
  const std::unique_ptr<DIR, DirectoryCloser> stream(::fdopendir(list.get()));
  if (!stream) throw_errno("list " + name);
  static_cast<void>(list.release());  // the stream's now
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    names.emplace_back(static_cast<const char*>(entry->d_name));
    errno = 0;
  }
  if (errno != 0) throw_errno("list " + name);
  return names;
}

Descriptor open_directory_of(int from, const std::filesystem::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  Descriptor fd(::openat(from, parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw_errno("open directory " + parent.string());
  return fd;
}

}  // namespace sluice::base
