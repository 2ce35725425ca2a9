#include "sluice/crypto/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "file_ops.hpp"
#include "huge_pages.hpp"
#include "sluice/crypto/error.hpp"
#include "unique_fd.hpp"

namespace sluice::crypto {
namespace {

UniqueFd open_directory(const std::filesystem::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  UniqueFd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw_errno("open directory " + parent.string());
  return fd;
}

bool same_file(int fd, int directory, const std::string& name) {
  struct stat ours {};
  struct stat named {};
  if (::fstat(fd, &ours) < 0 || ::fstatat(directory, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) < 0)
    return false;
  return ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

// Takes the lock of a temporary file. With LOCK_NB: false where a live writer holds it.
bool lock(int fd, int how, const std::string& name) {
  while (::flock(fd, how) < 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw_errno("flock " + name);
  }
  return true;
}

// Removes what a killed writer left. Only the holder of its lock unlinks or renames a temporary file, so
// after the lock the name is checked again: it may have been committed, or already removed, in between.
void remove_leftover(int directory, const std::string& temporary, const std::string& path) {
  const UniqueFd old(::openat(directory, temporary.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!old) {
    if (errno == ENOENT) return;
    throw error(errc::unsafe_target, path + ": " + temporary + " beside it can't be taken over");
  }
  struct stat status {};
  if (::fstat(old.get(), &status) < 0) throw_errno("fstat " + temporary);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
    throw error(errc::unsafe_target, path + ": " + temporary + " beside it isn't our file");
  }
  if (!lock(old.get(), LOCK_EX | LOCK_NB, temporary)) {
    throw error(errc::busy, path + ": another writer is replacing it");
  }
  if (!same_file(old.get(), directory, temporary)) return;
  if (::unlinkat(directory, temporary.c_str(), 0) < 0) throw_errno("unlink " + temporary);
}

void check_target(int directory, const std::string& name, const std::string& path, bool replace) {
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT) throw_errno("stat " + path);
    return;
  }
  if (!S_ISREG(status.st_mode)) throw error(errc::unsafe_target, path + ": exists and is no regular file");
  if (!replace) throw error(std::make_error_code(std::errc::file_exists), "create " + path);
}

}  // namespace

struct AtomicFile::State {
  std::string path;
  std::string name;
  std::string temporary;
  Options options;
  UniqueFd directory;
  UniqueFd file;
  std::uint64_t reserved = 0;  // the length that the file was given in advance
  std::uint64_t written = 0;

  State(const std::filesystem::path& target, Options chosen)
      : path(target.string()),
        name(target.filename().string()),
        temporary("." + name + ".sluice-new"),
        options(chosen) {
    if (name.empty() || name == "." || name == "..")
      throw error(errc::unsafe_target, path + ": no file name");
    directory = open_directory(target);
    check_target(directory.get(), name, path, options.replace);
    while (!create()) remove_leftover(directory.get(), temporary, path);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { discard(); }

  // False where the name is taken, or was taken away before the lock (another writer took this file for a
  // leftover).
  bool create() {
    file.reset(::openat(directory.get(), temporary.c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) return false;
    if (!file) throw_errno("create " + temporary + " for " + path);
    lock(file.get(), LOCK_EX, temporary);  // waits only for somebody who is removing it as a leftover
    if (!same_file(file.get(), directory.get(), temporary)) return false;
    if (::fchmod(file.get(), options.mode) < 0) throw_errno("fchmod " + temporary);
    return true;
  }

  void write(std::span<const std::byte> bytes) {
    write_all(file.get(), bytes, path);
    written += bytes.size();
  }

  // The file holds what was written and nothing else.
  void trim() {
    if (reserved > written && ::ftruncate(file.get(), static_cast<off_t>(written)) < 0)
      throw_errno("ftruncate " + temporary);
    reserved = 0;
  }

  void publish() {
    trim();
    sync_fd(file.get(), temporary);
    if (options.replace) {
      if (file_ops().rename(directory.get(), temporary.c_str(), name.c_str()) < 0) {
        throw_errno("rename " + temporary + " to " + path);
      }
    } else if (::renameat2(directory.get(), temporary.c_str(), directory.get(), name.c_str(),
                           RENAME_NOREPLACE) < 0) {
      throw_errno("create " + path);
    }
    file.reset();
    sync_fd(directory.get(), "the directory of " + path + " (the new file stands)");
  }

  void discard() noexcept {
    if (file && same_file(file.get(), directory.get(), temporary))
      ::unlinkat(directory.get(), temporary.c_str(), 0);
    file.reset();
  }
};

AtomicFile::AtomicFile(const std::filesystem::path& path, Options options)
    : state_(std::make_unique<State>(path, options)) {}
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

void AtomicFile::expect(std::uint64_t bytes) {
  if (state_->written == 0 && state_->reserved == 0)
    state_->reserved = reserve_huge_pages(state_->file.get(), bytes);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  state_->write(bytes);
}

int AtomicFile::fd() {
  state_->trim();
  return state_->file.get();
}

void AtomicFile::commit() {
  if (!state_->file) throw error(errc::misuse, state_->path + ": committed twice");
  try {
    state_->publish();
  } catch (...) {
    state_->discard();
    throw;
  }
}

}  // namespace sluice::crypto
