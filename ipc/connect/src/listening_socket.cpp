#include "listening_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "lock_file.hpp"
#include "seqpacket.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

namespace fs = std::filesystem;

constexpr int kBacklog = 128;
constexpr mode_t kModeBits = 07777;
constexpr mode_t kPrivate = 0600;
constexpr mode_t kEverybody = 0666;
constexpr std::chrono::seconds kLongestLockWait{2};

// Holds the lock on a socket's place. flock() can't wait for a limited time, so it is asked repeatedly; the
// lock is held for microseconds only.
class PlaceLock {
 public:
  PlaceLock(int directory, const fs::path& path)
      : file_(directory, "." + path.filename().native() + ".lock",
              " beside " + base::quoted_text(path.native())) {
    using std::chrono::steady_clock;
    const auto give_up = steady_clock::now() + kLongestLockWait;
    std::chrono::milliseconds pause{1};
    while (!file_.try_to_lock()) {
      if (steady_clock::now() >= give_up) {
        throw error(errc::timed_out,
                    "another process kept " + base::quoted_text(path.native()) + " locked for 2 s");
      }
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds{20});
    }
  }

 private:
  LockFile file_;
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
    : path_(path), directory_(base::open_directory_of(AT_FDCWD, path)), socket_(make_socket()) {
  base::check_safe_directory(directory_.get(), path.parent_path());
  // bind() gives the file this mode (less the umask), so that it is never open to others, not even for a
  // moment.
  if (::fchmod(socket_.get(), kPrivate) != 0) throw_errno("setting the mode of a Unix socket");
  take_path(access);
}

void ListeningSocket::take_path(SocketAccess access) {
  const SocketAddress address(path_);
  const PlaceLock lock(directory_.get(), path_);
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
  const std::string what = "the new socket at " + base::quoted_text(path_.native());
  const Descriptor file(
      ::openat(directory_.get(), path_.filename().c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) throw_errno("looking up " + what);
  if (!S_ISSOCK(info.st_mode) || info.st_uid != ::geteuid())
    throw error(errc::unsafe_place, what + " was replaced by another file");
  device_ = info.st_dev;
  inode_ = info.st_ino;
  const mode_t mode = access == SocketAccess::everybody ? kEverybody : kPrivate;
  if ((info.st_mode & kModeBits) != mode) base::set_mode(file.get(), mode, what);
  // Within the lock: until it listens, the socket looks like a stale one.
  if (::listen(socket_.get(), kBacklog) != 0)
    throw_errno("listening at " + base::quoted_text(path_.native()));
}

ListeningSocket::~ListeningSocket() {
  if (!socket_ || owner_.inherited()) return;
  // Without the lock another listener could put its file there between look and removal. If it can't be had
  // the file stays, as after a crash, and the next listener takes it over.
  try {
    const PlaceLock lock(directory_.get(), path_);
    struct stat info {};
    const bool ours =
        ::fstatat(directory_.get(), path_.filename().c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        info.st_dev == device_ && info.st_ino == inode_;
    if (ours) ::unlinkat(directory_.get(), path_.filename().c_str(), 0);
  } catch (const std::exception&) {
    return;
  }
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
