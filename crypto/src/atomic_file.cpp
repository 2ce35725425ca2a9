#include "sluice/crypto/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "file_ops.hpp"
#include "huge_pages.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

Descriptor open_directory(const std::filesystem::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  Descriptor fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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

// Removes what a killed writer left under the temporary name. Only the holder of its lock unlinks or renames
// such a file, so after the lock the name is checked again: it may have been committed, or already removed,
// in between. A live writer has it for the whole of its work where it has no unnamed file, and else only
// while it commits: `wait` is for that.
void remove_leftover(int directory, const std::string& temporary, const std::string& path, bool wait) {
  const Descriptor old(
      ::openat(directory, temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!old) {
    if (errno == ENOENT) return;
    throw error(sluice::errc::unsafe_place, path + ": " + temporary + " beside it can't be taken over");
  }
  struct stat status {};
  if (::fstat(old.get(), &status) < 0) throw_errno("fstat " + temporary);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
    throw error(sluice::errc::unsafe_place, path + ": " + temporary + " beside it isn't our file");
  }
  if (!lock_file(old.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB, temporary)) {
    throw error(sluice::errc::busy, path + ": another writer is replacing it");
  }
  if (!same_file(old.get(), directory, temporary)) return;
  if (::unlinkat(directory, temporary.c_str(), 0) < 0) throw_errno("unlink " + temporary);
}

std::string temporary_name(const std::string& name) {
  const std::string suffix = ".sluice-new";
  std::string temporary(".");
  temporary.append(name, 0, NAME_MAX - 1 - suffix.size());
  return temporary.append(suffix);
}

void check_target(int directory, const std::string& name, const std::string& path, bool replace) {
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT) throw_errno("stat " + path);
    return;
  }
  if (!S_ISREG(status.st_mode))
    throw error(sluice::errc::unsafe_place, path + ": exists and is no regular file");
  if (!replace) throw error(std::make_error_code(std::errc::file_exists), "create " + path);
}

}  // namespace

struct AtomicFile::State {
  std::string path;
  std::string name;
  std::string temporary;
  Options options;
  Descriptor directory;
  Descriptor file;
  bool named = false;          // the file stands under its temporary name
  std::uint64_t reserved = 0;  // the length that the file was given in advance
  std::uint64_t written = 0;

  State(const std::filesystem::path& target, Options chosen)
      : path(target.string()),
        name(target.filename().string()),
        temporary(temporary_name(name)),
        options(chosen) {
    if (name.empty() || name == "." || name == "..")
      throw error(sluice::errc::unsafe_place, path + ": no file name");
    directory = open_directory(target);
    check_target(directory.get(), name, path, options.replace);
    const bool unnamed = create_unnamed();
    remove_leftover(directory.get(), temporary, path, unnamed);
    try {
      while (!unnamed && !create_named()) remove_leftover(directory.get(), temporary, path, false);
      if (::fchmod(file.get(), options.mode) < 0) throw_errno("fchmod " + temporary);
    } catch (...) {
      discard();
      throw;
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { discard(); }

  // False where the file system has no such files, or where there is no way to name one later.
  bool create_unnamed() {
    if (::access("/proc/self/fd", X_OK) < 0) return false;
    file.reset(file_ops().open_unnamed(directory.get()));
    if (file) lock_file(file.get(), LOCK_EX, temporary);
    return static_cast<bool>(file);
  }

  // False where the name is taken, or was taken away before the lock (another writer took this file for a
  // leftover).
  bool create_named() {
    file.reset(::openat(directory.get(), temporary.c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) return false;
    if (!file) throw_errno("create " + temporary + " for " + path);
    named = true;
    lock_file(file.get(), LOCK_EX, temporary);  // waits only for somebody who is removing it as a leftover
    named = same_file(file.get(), directory.get(), temporary);
    return named;
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
      take_temporary_name();
      if (file_ops().rename(directory.get(), temporary.c_str(), name.c_str()) < 0) {
        throw_errno("rename " + temporary + " to " + path);
      }
    } else if (!(named ? move_to_free(name) : link_to(name))) {
      throw_errno("create " + path);
    }
    file.reset();
    sync_directory(directory.get(), "the directory of " + path + " (the new file stands)");
  }

  void take_temporary_name() {
    while (!named && !link_to(temporary)) {
      if (errno != EEXIST) throw_errno("link " + temporary + " for " + path);
      remove_leftover(directory.get(), temporary, path, true);
    }
    named = true;
  }

  // Names the unnamed file.
  bool link_to(const std::string& to) const {
    const std::string self = "/proc/self/fd/" + std::to_string(file.get());
    return ::linkat(AT_FDCWD, self.c_str(), directory.get(), to.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }

  bool move_to_free(const std::string& to) const {
    const int at = directory.get();
    if (::renameat2(at, temporary.c_str(), at, to.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL) return false;  // EINVAL: the file system can't, NFS for one
    return ::linkat(at, temporary.c_str(), at, to.c_str(), 0) == 0 &&
           ::unlinkat(at, temporary.c_str(), 0) == 0;
  }

  void discard() noexcept {
    if (named && file && same_file(file.get(), directory.get(), temporary))
      ::unlinkat(directory.get(), temporary.c_str(), 0);
    file.reset();
  }
};

AtomicFile::AtomicFile(const std::filesystem::path& path, Options options)
    : state_(std::make_unique<State>(path, options)) {}
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

std::filesystem::path AtomicFile::temporary_path(const std::filesystem::path& path) {
  return path.parent_path() / temporary_name(path.filename().string());
}

void AtomicFile::expect(std::uint64_t bytes) {
  if (state_->written == 0 && state_->reserved == 0)
    state_->reserved = reserve_huge_pages(state_->file.get(), bytes);
}

void AtomicFile::expect_as_much_as(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) return;
  constexpr std::int64_t kBlock = 512;  // what st_blocks counts, see stat(3type)
  const std::int64_t held = std::min<std::int64_t>(status.st_size, status.st_blocks * kBlock);
  expect(static_cast<std::uint64_t>(held));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  state_->write(bytes);
}

int AtomicFile::fd() {
  state_->trim();
  return state_->file.get();
}

void AtomicFile::commit() {
  if (!state_->file) throw error(sluice::errc::misuse, state_->path + ": committed twice");
  try {
    state_->publish();
  } catch (...) {
    state_->discard();
    throw;
  }
}

}  // namespace sluice::crypto
