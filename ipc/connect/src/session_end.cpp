#include "session_end.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <functional>

#include "channel_name.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

namespace fs = std::filesystem;

/// Absolute: the process may change its directory.
std::string lock_beside(const fs::path& path) {
  return (fs::absolute(path.parent_path()) / ("." + path.filename().native() + ".owner")).native();
}

/// Beside the socket; or, if that lies where this user may make no files, in a place of this user's own.
std::string lock_of_name(const fs::path& path, const std::string& role) {
  fs::path end = path;
  end += "." + role;
  if (::faccessat(AT_FDCWD, path.parent_path().c_str(), W_OK | X_OK, AT_EACCESS) == 0)
    return lock_beside(end);
  struct stat directory {};
  if (::stat(path.parent_path().c_str(), &directory) != 0)
    throw_errno("the directory of " + base::quoted_text(path.native()));
  return lock_beside(private_directory() /
                     (std::to_string(directory.st_dev) + "-" + std::to_string(directory.st_ino) + "-" +
                      end.filename().native()));
}

}  // namespace

SessionEnd::SessionEnd(const fs::path& path, const std::string& role, const fs::path& ring_file) {
  locks_.emplace_back(AT_FDCWD, lock_of_name(path, role));
  if (!ring_file.empty()) locks_.emplace_back(AT_FDCWD, lock_beside(ring_file));
}

bool SessionEnd::try_to_own() {
  return std::all_of(locks_.begin(), locks_.end(), std::mem_fn(&LockFile::try_to_lock));
}

bool SessionEnd::owned() const noexcept {
  return std::all_of(locks_.begin(), locks_.end(), std::mem_fn(&LockFile::held));
}

void SessionEnd::take_over() {
  for (LockFile& lock : locks_) lock.take_over();
}

bool SessionEnd::was_replaced() const noexcept {
  return std::any_of(locks_.begin(), locks_.end(), std::mem_fn(&LockFile::was_replaced));
}

void SessionEnd::remove_file_of_nobody(const fs::path& ring_file) noexcept {
  try {
    LockFile lock(AT_FDCWD, lock_beside(ring_file));
    if (lock.try_to_lock()) ::unlink(ring_file.c_str());
  } catch (const std::exception&) {
    // It stays, as after a crash.
  }
}

}  // namespace sluice::ipc
