#include "file_io.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

void wait_until_writable(int fd) {
  pollfd entry{fd, POLLOUT, 0};
  ::poll(&entry, 1, -1);  // whatever it says, the next write() says it better
}

}  // namespace

void write_fully(int fd, std::span<const std::byte> bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      wait_until_writable(fd);
    } else if (errno != EINTR) {
      throw_errno("writing to " + what);
    }
  }
}

void write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    } else if (errno != EINTR) {
      throw_errno("writing to " + what);
    }
  }
}

std::size_t read_at(int fd, std::span<std::byte> room, std::uint64_t offset, const std::string& what) {
  std::size_t filled = 0;
  while (filled < room.size()) {
    const ssize_t count =
        ::pread(fd, room.data() + filled, room.size() - filled, static_cast<off_t>(offset + filled));
    if (count == 0) break;
    if (count > 0) {
      filled += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      throw_errno("reading " + what);
    }
  }
  return filled;
}

void sync(int fd, const std::string& what) {
  // EINVAL, EROFS: not a thing that can be synced, such as a pipe.
  if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) throw_errno("syncing " + what);
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to,
                    const std::string& what) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_errno("renaming the complete file to " + what);
  const Descriptor directory(::open(directory_of(to).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw_errno("opening the directory of " + what);
  sync(directory.get(), "the directory of " + what);
}

}  // namespace sluice::tools
