#include "lock_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

constexpr mode_t kModeBits = 07777;
constexpr mode_t kPrivate = 0600;

}  // namespace

LockFile::~LockFile() {
  if (held()) ::unlinkat(directory_, name_.c_str(), 0);
}

bool LockFile::try_to_lock() {
  if (held()) return true;
  file_.open([&] { return open_file(); });
  if (!file_) return false;
  try {
    if (lock_opened()) return true;
  } catch (...) {
    file_.reset();
    throw;
  }
  file_.reset();
  return false;
}

/// -1 if the file's owner is just coming or going.
int LockFile::open_file() const {
  constexpr int kFlags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  const int file = ::openat(directory_, name_.c_str(), kFlags, kPrivate);
  const int code = file >= 0 ? 0 : errno;
  if (code == 0 || code == EINTR) return file;
  struct stat info {};
  if (::fstatat(directory_, name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) check_ours(info);
  const std::string parent = std::filesystem::path(name_).parent_path().string();
  const char* const place = parent.empty() ? "." : parent.c_str();
  // Ours, and its mode is on its way; or gone meanwhile.
  if (code == EACCES && ::faccessat(directory_, place, W_OK | X_OK, AT_EACCESS) == 0) return -1;
  throw_errno(code, what_);
}

bool LockFile::lock_opened() {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno(what_);
  check_ours(info);
  if ((info.st_mode & kModeBits) != kPrivate && ::fchmod(file_.get(), kPrivate) != 0) throw_errno(what_);
  try {
    return base::lock_file(file_.get(), what_) && held();
  } catch (const error&) {
    if (held()) ::unlinkat(directory_, name_.c_str(), 0);
    throw;
  }
}

/// With a second name it may be another file of ours, whose mode isn't to be changed.
void LockFile::check_ours(const struct stat& info) const {
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || info.st_nlink > 1)
    throw error(errc::unsafe_place, what_ + " is none of this user's files");
}

void LockFile::take_over() {
  while (!try_to_lock()) ::unlinkat(directory_, name_.c_str(), 0);
}

bool LockFile::held() const noexcept {
  return file_ && base::is_named(file_.get(), directory_, name_);
}

bool LockFile::was_replaced() const noexcept {
  return file_ && !held() && ::faccessat(directory_, name_.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace sluice::ipc
