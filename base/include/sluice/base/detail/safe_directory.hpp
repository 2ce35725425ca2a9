// Directories in which nobody else can put a file in place of ours.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// Throws errc::unsafe_place unless this is a directory of this user or root in which nobody else can
/// replace files.
void check_safe_directory(const std::filesystem::path& directory);

/// The same, whoever the directory belongs to: for a place that the user has named.
void check_parent_directory(const std::filesystem::path& directory);

/// Throws errc::unsafe_place: "directory "..." <reason>".
[[noreturn]] void refuse_directory(const std::filesystem::path& directory, const std::string& reason);

/// Permission bits as people write them: "0700".
std::string octal(mode_t mode);

}  // namespace sluice::base

#pragma GCC visibility pop
