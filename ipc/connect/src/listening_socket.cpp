#include "listening_socket.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "seqpacket.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

namespace fs = std::filesystem;

constexpr int kBacklog = 128;
constexpr std::chrono::seconds kLongestLockWait{2};

Descriptor open_directory(const fs::path& path) {
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) throw_errno("opening the directory " + base::quoted_text(directory.native()));
  return opened;
}

// Holds the exclusive lock on an open directory. flock() can't wait for a limited time, so it is asked
// repeatedly; the lock is held for microseconds only.
class DirectoryLock {
 public:
  explicit DirectoryLock(int directory) noexcept : directory_(directory) {
    using std::chrono::steady_clock;
    const auto give_up = steady_clock::now() + kLongestLockWait;
    std::chrono::milliseconds pause{1};
    for (;;) {
      held_ = ::flock(directory_, LOCK_EX | LOCK_NB) == 0;
      code_ = held_ ? 0 : errno;
      if (held_ || (code_ != EWOULDBLOCK && code_ != EINTR) || steady_clock::now() >= give_up) return;
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds{20});
    }
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock() {
    if (held_) ::flock(directory_, LOCK_UN);
  }

  bool held() const noexcept { return held_; }
  int code() const noexcept { return code_; }

 private:
  int directory_;
  bool held_ = false;
  int code_ = 0;
};

const char* kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a regular file";
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a FIFO";
    default:
      return "a device";
  }
}

// Throws unless the socket file at `path` is one that nobody listens on.
void check_stale(const fs::path& path, const SocketAddress& address) {
  const base::PeerSocket probe = make_socket();
  const int code = connect_once(probe.get(), address);
  switch (code) {
    case ECONNREFUSED:
    case ENOENT:
      return;
    case 0:
      if (is_held_for_a_dead_process(probe.get())) return;
      [[fallthrough]];
    case EAGAIN:  // its queue is full
    case EPROTOTYPE:
      throw error(connect_errc::name_taken,
                  "a process listens at " + base::quoted_text(path.native()) + " already");
    default:
      throw_errno(code, "probing the socket at " + base::quoted_text(path.native()));
  }
}

// Makes sure that nothing is at `path`, removing nothing but a dead listener's socket of our own user.
void clear_path(int directory, const fs::path& path, const SocketAddress& address) {
  const std::string file_name = path.filename().native();
  struct stat info {};
  if (::fstatat(directory, file_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    throw_errno("looking up " + base::quoted_text(path.native()));
  }
  if (S_ISLNK(info.st_mode)) {
    throw error(errc::unsafe_place,
                base::quoted_text(path.native()) + " is a symbolic link; expected a socket or nothing");
  }
  if (!S_ISSOCK(info.st_mode)) {
    throw error(errc::bad_name, base::quoted_text(path.native()) + " is " + kind_of(info.st_mode) +
                                    "; expected a socket or nothing");
  }
  if (info.st_uid != ::geteuid()) {
    throw error(errc::unsafe_place, "the socket at " + base::quoted_text(path.native()) +
                                        " belongs to user " + std::to_string(info.st_uid) +
                                        "; expected user " + std::to_string(::geteuid()));
  }
  check_stale(path, address);
  if (::unlinkat(directory, file_name.c_str(), 0) != 0 && errno != ENOENT)
    throw_errno("removing the stale socket at " + base::quoted_text(path.native()));
}

}  // namespace

ListeningSocket::ListeningSocket(const fs::path& path, SocketAccess access)
    : path_(path),
      directory_(open_directory(path)),
      socket_(make_socket()),
      generation_(base::fork_generation()) {
  // bind() gives the file this mode (less the umask), so that it is never open to others, not even for a
  // moment.
  if (::fchmod(socket_.get(), S_IRUSR | S_IWUSR) != 0) throw_errno("setting the mode of a Unix socket");
  take_path(access);
}

void ListeningSocket::take_path(SocketAccess access) {
  const SocketAddress address(path_);
  const DirectoryLock lock(directory_.get());
  if (!lock.held()) {
    const std::string directory = base::quoted_text(path_.parent_path().native());
    if (lock.code() != EWOULDBLOCK) throw_errno(lock.code(), "locking the directory " + directory);
    throw error(errc::timed_out, "another process kept the directory " + directory + " locked for 2 s");
  }
  clear_path(directory_.get(), path_, address);
  if (::bind(socket_.get(), address.get(), address.size_bytes()) != 0)
    throw_errno("binding a socket to " + base::quoted_text(path_.native()));
  try {
    start_listening(access);
  } catch (...) {
    ::unlinkat(directory_.get(), path_.filename().c_str(), 0);  // ours: the lock is still held
    throw;
  }
}

void ListeningSocket::start_listening(SocketAccess access) {
  struct stat info {};
  if (::fstatat(directory_.get(), path_.filename().c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("looking up the new socket at " + base::quoted_text(path_.native()));
  device_ = info.st_dev;
  inode_ = info.st_ino;
  constexpr mode_t kEverybody = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
  if (access == SocketAccess::everybody &&
      ::fchmodat(directory_.get(), path_.filename().c_str(), kEverybody, 0) != 0)
    throw_errno("opening the socket at " + base::quoted_text(path_.native()) + " to other users");
  // Within the lock: until it listens, the socket looks like a stale one.
  if (::listen(socket_.get(), kBacklog) != 0)
    throw_errno("listening at " + base::quoted_text(path_.native()));
}

ListeningSocket::~ListeningSocket() {
  if (!socket_ || generation_ != base::fork_generation()) return;
  // Without the lock another listener could put its file there between look and removal. If it can't be had
  // the file stays, as after a crash, and the next listener takes it over.
  const DirectoryLock lock(directory_.get());
  if (!lock.held()) return;
  struct stat info {};
  const bool ours = ::fstatat(directory_.get(), path_.filename().c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                    info.st_dev == device_ && info.st_ino == inode_;
  if (ours) ::unlinkat(directory_.get(), path_.filename().c_str(), 0);
}

AcceptResult ListeningSocket::accept() {
  for (;;) {
    base::PeerSocket accepted(
        Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
    if (accepted) return {AcceptOutcome::accepted, std::move(accepted)};
    switch (errno) {
      case EINTR:
      case ECONNABORTED:
        continue;
      case EAGAIN:
        return {AcceptOutcome::nobody_waits, {}};
      case EMFILE:
      case ENFILE:
      case ENOMEM:
      case ENOBUFS:
        return {AcceptOutcome::out_of_resources, {}};
      default:
        throw_errno("accepting at " + base::quoted_text(path_.native()));
    }
  }
}

}  // namespace sluice::ipc
