#include "part_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <thread>

#include "file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPermissions = 07777;

/// How long a process that has been killed may take until its lock is free.
constexpr auto kTimeToEnd = std::chrono::seconds(1);

/// What a new file of this process may be.
mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666U & ~mask;
}

}  // namespace

PartFile::PartFile(const fs::path& file) : what_(file.string()), path_(file) {
  std::error_code none;
  if (const fs::path real = fs::canonical(file, none); !none) path_ = real;
  if (path_.filename().empty()) throw error(errc::bad_name, "output \"" + what_ + "\": expected a file name");
  part_ = path_.string() + ".part";
  struct stat old {};
  if (::stat(path_.c_str(), &old) == 0) {
    if (S_ISDIR(old.st_mode)) throw_errno(EISDIR, "output " + what_);
    if (!S_ISREG(old.st_mode))
      throw error(errc::bad_option, "output " + what_ + ": --resume needs a regular file");
    final_mode_ = old.st_mode & kPermissions;
  } else if (errno == ENOENT) {
    final_mode_ = usual_mode();
  } else {
    throw_errno("looking up " + what_);
  }
  if (::access(directory_of(path_).c_str(), W_OK | X_OK) != 0)
    throw_errno("making a file in the directory of " + what_);
}

void PartFile::start_anew() {
  open(O_CREAT);
  truncate(0);
  if (::fchmod(file_.get(), 0600) != 0) throw_errno("setting the permissions of " + part_name());
}

bool PartFile::reopen() {
  return open(0);
}

bool PartFile::open(int flags) {
  for (;;) {
    // O_NONBLOCK: a FIFO that somebody put there doesn't hold this process up.
    file_.reset(::open(part_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600));
    if (!file_ && errno == ENOENT && flags == 0) return false;
    if (!file_) throw_errno("opening " + part_name());
    check_owner();
    lock();
    // The one who had the lock before may have given the file its final name, or removed it.
    if (has_its_name()) return true;
  }
}

void PartFile::check_owner() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("looking up " + part_name());
  if (S_ISREG(info.st_mode) && info.st_uid == ::geteuid() && info.st_nlink <= 1) return;
  throw error(errc::unsafe_place,
              fmt::format("{}: expected a regular file of user {} with one name, got {} of user {} with {}",
                          part_name(), ::geteuid(), S_ISREG(info.st_mode) ? "one" : "something else",
                          info.st_uid, info.st_nlink));
}

void PartFile::lock() const {
  const auto deadline = std::chrono::steady_clock::now() + kTimeToEnd;
  while (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw_errno("locking " + part_name());
    if (std::chrono::steady_clock::now() >= deadline)
      throw error(errc::misuse, part_name() + " is being written by another process");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool PartFile::has_its_name() const {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file_.get(), &opened) == 0 && ::lstat(part_.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

std::uint64_t PartFile::size() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("looking up " + part_name());
  return static_cast<std::uint64_t>(info.st_size);
}

void PartFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_at(file_.get(), bytes, offset, part_name());
}

void PartFile::truncate(std::uint64_t size) {
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) throw_errno("truncating " + part_name());
}

Sha256Digest PartFile::digest() const {
  return sha256_of_file(file_.get(), size(), part_name());
}

void PartFile::commit() {
  if (::fchmod(file_.get(), final_mode_) != 0) throw_errno("setting the permissions of " + what_);
  sync(file_.get(), part_name());
  rename_durably(part_, path_, what_);
  file_.reset();
}

void PartFile::discard() noexcept {
  if (!file_) return;
  ::unlink(part_.c_str());
  file_.reset();
}

bool PartFile::is_complete(std::uint64_t size, const Sha256Digest& digest) const {
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file && errno == ENOENT) return false;
  if (!file) throw_errno("opening " + what_);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw_errno("looking up " + what_);
  if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) != size) return false;
  return sha256_of_file(file.get(), size, what_) == digest;
}

}  // namespace sluice::tools
