#include "temporary_name.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::base {
namespace {

constexpr std::string_view kSuffix = ".sluice-new";

}  // namespace

std::string temporary_name(const std::string& name) {
  std::string temporary(".");
  temporary.append(name, 0, NAME_MAX - 1 - kSuffix.size());
  return temporary.append(kSuffix);
}

// Only the holder of its lock unlinks or renames such a file, so after the lock the name is checked again: it
// may have been committed, or already removed, in between. A living writer has it for the whole of its work
// if there are only named files, and else only while it commits.
void remove_leftover(int directory, const std::string& temporary, const std::string& path, bool wait) {
  const Descriptor old(
      ::openat(directory, temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!old) {
    if (errno == ENOENT) return;
    throw error(errc::unsafe_place, path + ": " + temporary + " beside it can't be taken over");
  }
  struct stat status {};
  if (::fstat(old.get(), &status) < 0) throw_errno("fstat " + temporary);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
    throw error(errc::unsafe_place, path + ": " + temporary + " beside it isn't our file");
  }
  if (!(wait ? lock_file_in_time(old.get(), temporary) : lock_file(old.get(), temporary))) {
    throw error(errc::busy,
                path + ": " + temporary + " beside it is locked, by another writer or a stranger");
  }
  if (!is_named(old.get(), directory, temporary)) return;
  if (::unlinkat(directory, temporary.c_str(), 0) < 0) throw_errno("unlink " + temporary);
}

void AtomicFile::remove_leftovers(int directory, std::string_view ending) {
  const std::string whole_ending = std::string(ending) + std::string(kSuffix);
  for (const std::string& name : names_in(directory, "a directory for removing leftovers")) {
    if (!name.starts_with('.') || !name.ends_with(whole_ending)) continue;
    try {
      remove_leftover(directory, name, name, false);
    } catch (const error&) {
      continue;  // a living writer's, or another user's
    }
  }
}

}  // namespace sluice::base
