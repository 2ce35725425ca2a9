#include "sluice/base/detail/safe_directory.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::base {
namespace {

namespace fs = std::filesystem;

// Others who can write to a directory can put their own socket in place of ours; the sticky bit forbids that.
void refuse_if_others_can_replace_files(const fs::path& directory, const struct stat& info) {
  if (!S_ISDIR(info.st_mode)) refuse_directory(directory, "is no directory");
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (info.st_mode & S_ISVTX) == 0) {
    refuse_directory(directory, "can be written by others: its mode is " + octal(info.st_mode) +
                                    "; expected no write permission for group and others, or the sticky bit");
  }
}

struct stat stat_directory(const fs::path& directory) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) throw_errno("directory " + quoted_text(directory.native()));
  return info;
}

}  // namespace

std::string octal(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777U));
  return text.data();
}

void refuse_directory(const fs::path& directory, const std::string& reason) {
  throw error(errc::unsafe_place, "directory " + quoted_text(directory.native()) + " " + reason);
}

void check_parent_directory(const fs::path& directory) {
  refuse_if_others_can_replace_files(directory, stat_directory(directory));
}

void check_safe_directory(const fs::path& directory) {
  const struct stat info = stat_directory(directory);
  refuse_if_others_can_replace_files(directory, info);
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    refuse_directory(directory, "belongs to user " + std::to_string(info.st_uid) + "; expected user " +
                                    std::to_string(::geteuid()));
  }
}

}  // namespace sluice::base
