#include "sluice/base/atomic_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "huge_pages.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/uninherited_descriptor.hpp"
#include "temporary_name.hpp"

namespace sluice::base {
namespace {

constexpr mode_t kPrivate = 0600;
constexpr mode_t kModeLessUmask = 0666;
constexpr mode_t kPermissions = 07777;

}  // namespace

struct AtomicFile::State {
  std::string path;
  std::string name;
  std::string temporary;
  Options options;
  Descriptor directory;
  UninheritedDescriptor file;  // locked
  OwnerProcess owner;
  bool named = false;          // the file stands under its temporary name
  std::uint64_t reserved = 0;  // the length that the file was given in advance
  std::uint64_t written = 0;

  State(const std::filesystem::path& target, Options chosen)
      : path(target.string()),
        name(target.filename().string()),
        temporary(temporary_name(name)),
        options(chosen) {
    if (name.empty() || name == "." || name == "..") throw error(errc::unsafe_place, path + ": no file name");
    directory = open_directory_of(options.directory, target);
    const std::optional<mode_t> mode = check_target();
    const bool unnamed = !options.one_writer && create_unnamed();
    remove_leftover(directory.get(), temporary, path, unnamed || options.wait_for_others);
    try {
      while (!unnamed && !create_named())
        remove_leftover(directory.get(), temporary, path, options.wait_for_others);
      if (mode && ::fchmod(file.get(), *mode) < 0) throw_errno("fchmod " + temporary);
    } catch (...) {
      discard();
      throw;
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (!owner.inherited()) discard();
  }

  // The mode that the new file gets; nullopt if what the umask leaves it is right.
  std::optional<mode_t> check_target() const {
    struct stat status {};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) throw_errno("stat " + path);
      return options.mode;
    }
    if (!S_ISREG(status.st_mode)) throw error(errc::unsafe_place, path + ": exists and is no regular file");
    if (!options.replace) throw error(std::make_error_code(std::errc::file_exists), "create " + path);
    return options.mode.value_or(status.st_mode & kPermissions);
  }

  mode_t first_mode() const { return options.mode ? kPrivate : kModeLessUmask; }

  // False if the file system has no such files, or if there is no way to name one later.
  bool create_unnamed() {
    if (::access("/proc/self/fd", X_OK) < 0) return false;
    file.open([this] { return file_ops().open_unnamed(directory.get(), first_mode()); });
    if (file) lock_file(file.get(), temporary);  // nobody else has it yet
    return static_cast<bool>(file);
  }

  // False if the name is taken, or was taken away before the lock (another writer took this file for a
  // leftover).
  bool create_named() {
    constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    file.open([this] { return ::openat(directory.get(), temporary.c_str(), kFlags, first_mode()); });
    if (!file && errno == EEXIST) return false;
    if (!file) throw_errno("create " + temporary + " for " + path);
    named = true;
    // Somebody else may have it for a moment, to remove it as a leftover.
    if (!lock_file_in_time(file.get(), temporary))
      throw error(errc::busy, path + ": somebody locked " + temporary);
    named = is_named(file.get(), directory.get(), temporary);
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
    if (options.durable) sync_file(file.get(), temporary);
    if (options.replace) {
      take_temporary_name();
      if (file_ops().rename(directory.get(), temporary.c_str(), name.c_str()) < 0)
        throw_errno("rename " + temporary + " to " + path);
    } else if (!(named ? move_to_free(name) : link_to(name))) {
      throw_errno("create " + path);
    }
    file.reset();
    if (options.durable)
      sync_if_possible(directory.get(), "the directory of " + path + " (the new file stands)");
  }

  void take_temporary_name() {
    while (!named && !link_to(temporary)) {
      if (errno != EEXIST) throw_errno("link " + temporary + " for " + path);
      remove_leftover(directory.get(), temporary, path, true);
    }
    named = true;
  }

  std::string self() const { return "/proc/self/fd/" + std::to_string(file.get()); }

  // Names the unnamed file.
  bool link_to(const std::string& to) const {
    return ::linkat(AT_FDCWD, self().c_str(), directory.get(), to.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }

  bool move_to_free(const std::string& to) const {
    const int at = directory.get();
    if (::renameat2(at, temporary.c_str(), at, to.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL) return false;  // EINVAL: the file system can't, NFS for one
    return ::linkat(at, temporary.c_str(), at, to.c_str(), 0) == 0 &&
           ::unlinkat(at, temporary.c_str(), 0) == 0;
  }

  Descriptor open_for_reading() const {
    Descriptor reading(named ? ::openat(directory.get(), temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
                             : ::open(self().c_str(), O_RDONLY | O_CLOEXEC));
    if (!reading) throw_errno("open " + temporary + " for reading");
    return reading;
  }

  void discard() noexcept {
    if (named && file && is_named(file.get(), directory.get(), temporary))
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

/// Every use goes through here.
AtomicFile::State& AtomicFile::state() const {
  State& file = own(state_, "an unfinished file");
  if (!file.file) throw error(errc::misuse, file.path + ": used after commit()");
  return file;
}

void AtomicFile::expect(std::uint64_t bytes) {
  State& file = state();
  if (file.written == 0 && file.reserved == 0) file.reserved = reserve_huge_pages(file.file.get(), bytes);
}

void AtomicFile::expect_as_much_as(int fd) {
  static_cast<void>(state());
  struct stat status {};
  if (::fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) return;
  constexpr std::int64_t kBlock = 512;  // what st_blocks counts, see stat(3type)
  const std::int64_t held = std::min<std::int64_t>(status.st_size, status.st_blocks * kBlock);
  expect(static_cast<std::uint64_t>(held));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  state().write(bytes);
}

int AtomicFile::fd() {
  state().trim();
  return state_->file.get();
}

Descriptor AtomicFile::open_for_reading() const {
  return state().open_for_reading();
}

void AtomicFile::commit() {
  State& file = state();
  try {
    file.publish();
  } catch (...) {
    file.discard();
    throw;
  }
}

}  // namespace sluice::base
