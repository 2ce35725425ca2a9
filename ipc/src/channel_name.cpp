#include "channel_name.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "quoted_text.hpp"
#include "sluice/ring/error.hpp"
#include "socket_address.hpp"

namespace sluice::detail {
namespace {

namespace fs = std::filesystem;

std::string octal(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777U));
  return text.data();
}

bool is_path(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
}

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

[[noreturn]] void refuse_directory(const fs::path& directory, const std::string& reason) {
  throw error(errc::unsafe_directory, "directory " + quoted_text(directory.native()) + " " + reason);
}

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

fs::path resolve_path(std::string_view text) {
  fs::path path(text);
  const auto file_name = path.filename();
  if (file_name.empty() || file_name == "." || file_name == "..") {
    throw error(errc::bad_name,
                "socket path " + quoted_text(text) + " ends in a directory; expected a file name");
  }
  SocketAddress{path};  // refuses a path that doesn't fit before the file system is asked about it
  refuse_if_others_can_replace_files(path.parent_path(), stat_directory(path.parent_path()));
  return path;
}

fs::path runtime_directory() {
  // Read once at set-up; a program that changes its environment from another thread has no safe moment
  // anyway.
  const char* const base = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (base == nullptr || *base != '/') return "/tmp/sluice-" + std::to_string(::geteuid());
  const fs::path directory = base;
  try {
    check_safe_directory(directory);
  } catch (const error& why) {
    throw error(why.code(), std::string("XDG_RUNTIME_DIR: ") + why.what());
  }
  return directory / "sluice";
}

void make_private_directory(const fs::path& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    throw_errno("making the runtime directory " + quoted_text(directory.native()));
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0)
    throw_errno("the runtime directory " + quoted_text(directory.native()));
  if (!S_ISDIR(info.st_mode)) {
    refuse_directory(directory, S_ISLNK(info.st_mode) ? "is a symbolic link; expected a directory"
                                                      : "is a file; expected a directory");
  }
  if (info.st_uid != ::geteuid()) {
    refuse_directory(directory, "belongs to user " + std::to_string(info.st_uid) + "; expected user " +
                                    std::to_string(::geteuid()));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    refuse_directory(directory, "is open to others: its mode is " + octal(info.st_mode) + "; expected 0700");
}

}  // namespace

void check_name(const std::string& what, std::string_view name, const std::string& hint) {
  const auto refuse = [&](const std::string& reason) {
    throw error(errc::bad_name, what + " " + quoted_text(name) + " " + reason);
  };
  if (name.empty()) refuse("is empty; expected 1 to " + std::to_string(kMaxChannelNameBytes) + " bytes");
  if (name.size() > kMaxChannelNameBytes) {
    refuse("has " + std::to_string(name.size()) + " bytes; expected at most " +
           std::to_string(kMaxChannelNameBytes));
  }
  if (name.front() == '.') refuse("begins with a dot");
  const auto* const odd = std::find_if_not(name.begin(), name.end(), is_name_character);
  if (odd != name.end()) {
    refuse("contains " + quoted_text({odd, 1}) + "; expected letters, digits, '.', '_' and '-'" + hint);
  }
}

void check_safe_directory(const fs::path& directory) {
  const struct stat info = stat_directory(directory);
  refuse_if_others_can_replace_files(directory, info);
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    refuse_directory(directory, "belongs to user " + std::to_string(info.st_uid) + "; expected user " +
                                    std::to_string(::geteuid()));
  }
}

fs::path resolve_channel_name(std::string_view name_or_path) {
  if (is_path(name_or_path)) return resolve_path(name_or_path);
  check_name("channel name", name_or_path, " (a path begins with / or ./)");
  const fs::path directory = runtime_directory();
  fs::path path = directory / name_or_path;
  SocketAddress{path};
  make_private_directory(directory);
  return path;
}

}  // namespace sluice::detail
