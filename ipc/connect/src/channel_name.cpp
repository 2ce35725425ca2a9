#include "channel_name.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "seqpacket.hpp"
#include "sluice/base/detail/names.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

namespace fs = std::filesystem;

bool is_path(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
}

fs::path resolve_path(std::string_view text, uid_t owner) {
  fs::path path(text);
  const auto file_name = path.filename();
  if (file_name.empty() || file_name == "." || file_name == "..") {
    throw error(errc::bad_name,
                "socket path " + base::quoted_text(text) + " ends in a directory; expected a file name");
  }
  SocketAddress{path};  // refuses a path that doesn't fit before the file system is asked about it
  base::check_safe_directory(path.parent_path(), owner);
  return path;
}

/// XDG_RUNTIME_DIR, if it is an absolute path. A program that changes its environment from another thread has
/// no safe moment for it anyway.
const char* xdg_directory() {
  const char* const directory = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  return directory != nullptr && *directory == '/' ? directory : nullptr;
}

fs::path directory_without_xdg() {
  return "/tmp/sluice-" + std::to_string(::geteuid());
}

fs::path runtime_directory() {
  const char* const xdg = xdg_directory();
  if (xdg == nullptr) {
    fs::path directory = directory_without_xdg();
    base::check_safe_directory(directory.parent_path());
    return directory;
  }
  const fs::path directory = xdg;
  try {
    base::check_safe_directory(directory);
  } catch (const error& why) {
    throw why.about("XDG_RUNTIME_DIR");
  }
  return directory / "sluice";
}

void make_private_directory(const fs::path& directory) {
  // Whatever the umask took away: nobody else can replace it where it lies.
  const bool made = ::mkdir(directory.c_str(), 0700) == 0 && ::chmod(directory.c_str(), 0700) == 0;
  if (!made && errno != EEXIST)
    throw_errno("making the runtime directory " + base::quoted_text(directory.native()));
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0)
    throw_errno("the runtime directory " + base::quoted_text(directory.native()));
  if (!S_ISDIR(info.st_mode)) {
    base::refuse_directory(directory, S_ISLNK(info.st_mode) ? "is a symbolic link; expected a directory"
                                                            : "is a file; expected a directory");
  }
  if (info.st_uid != ::geteuid()) {
    base::refuse_directory(directory, "belongs to user " + std::to_string(info.st_uid) + "; expected user " +
                                          std::to_string(::geteuid()));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    base::refuse_directory(directory,
                           "is open to others: its mode is " + base::octal(info.st_mode) + "; expected 0700");
  }
}

}  // namespace

fs::path resolve_channel_name(std::string_view name_or_path, uid_t owner) {
  if (is_path(name_or_path)) return resolve_path(name_or_path, owner);
  base::check_name("channel name", name_or_path, " (a path begins with / or ./)");
  const fs::path directory = runtime_directory();
  fs::path path = directory / name_or_path;
  SocketAddress{path};
  make_private_directory(directory);
  return path;
}

fs::path private_directory() {
  fs::path directory = directory_without_xdg();
  base::check_safe_directory(directory.parent_path());
  make_private_directory(directory);
  return directory;
}

std::string other_place(std::string_view name_or_path, std::string_view who) {
  if (is_path(name_or_path)) return {};
  const bool here = xdg_directory() != nullptr;
  const fs::path usual = "/run/user/" + std::to_string(::geteuid());
  const fs::path directory = here ? directory_without_xdg() : usual / "sluice";
  return "; " + std::string(who) +
         (here ? " without XDG_RUNTIME_DIR" : " with XDG_RUNTIME_DIR=" + usual.native()) + " would be at " +
         base::quoted_text((directory / name_or_path).native());
}

}  // namespace sluice::ipc
