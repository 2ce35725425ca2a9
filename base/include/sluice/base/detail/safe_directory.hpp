// Directories in which nobody else can put a file in place of ours.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// What other users may do in a directory.
enum class OthersMay {
  read,
  add_files,  ///< which the sticky bit keeps from replacing ours
};

/// Throws errc::unsafe_place unless this is a directory of `owner`, of this user or of root, in which other
/// users can do no more than this.
void check_safe_directory(const std::filesystem::path& directory, uid_t owner = ::geteuid(),
                          OthersMay others = OthersMay::add_files);

/// The same for a directory that is open; `name` is for the error.
void check_safe_directory(int directory, const std::filesystem::path& name, uid_t owner = ::geteuid(),
                          OthersMay others = OthersMay::add_files);

/// chmod() of the file that is open as `fd`, also with O_PATH; `name` is for the error.
void set_mode(int fd, mode_t mode, const std::string& name);

/// Throws errc::unsafe_place: "directory "..." <reason>".
[[noreturn]] void refuse_directory(const std::filesystem::path& directory, const std::string& reason);

/// Permission bits as people write them: "0700".
std::string octal(mode_t mode);

}  // namespace sluice::base

#pragma GCC visibility pop
