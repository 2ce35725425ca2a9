#include "sluice/base/detail/safe_directory.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

namespace sluice::base {

namespace fs = std::filesystem;

std::string octal(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777U));
  return text.data();
}

void refuse_directory(const fs::path& directory, const std::string& reason) {
  throw error(errc::unsafe_place, "directory " + quoted_text(directory.native()) + " " + reason);
}

void check_safe_directory(const fs::path& directory, uid_t owner, OthersMay others) {
  const Descriptor opened(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!opened && errno == ENOTDIR) refuse_directory(directory, "is no directory");
  if (!opened) throw_errno("directory " + quoted_text(directory.native()));
  check_safe_directory(opened.get(), directory, owner, others);
}

// Others who can write to a directory can put their own file in place of ours; the sticky bit forbids that to
// all but the directory's owner.
void check_safe_directory(int directory, const fs::path& name, uid_t owner, OthersMay others) {
  struct stat info {};
  if (::fstat(directory, &info) != 0) throw_errno("directory " + quoted_text(name.native()));
  const bool sticky = (info.st_mode & S_ISVTX) != 0 && others == OthersMay::add_files;
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky) {
    refuse_directory(name, "can be written by others: its mode is " + octal(info.st_mode) +
                               "; expected no write permission for group and others" +
                               (others == OthersMay::add_files ? ", or the sticky bit" : ""));
  }
  if (info.st_uid != owner && info.st_uid != ::geteuid() && info.st_uid != 0) {
    refuse_directory(
        name, "belongs to user " + std::to_string(info.st_uid) + "; expected user " + std::to_string(owner));
  }
}

void set_mode(int fd, mode_t mode, const std::string& name) {
  if (::syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0) return;
  // Linux before 6.6 changes what is open with O_PATH by this name only.
  if (::chmod(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode) != 0)
    throw_errno("setting the mode of " + name);
}

}  // namespace sluice::base
