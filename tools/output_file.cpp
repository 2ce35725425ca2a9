#include "output_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <system_error>

#include "file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kModeLessUmask = 0666;

}  // namespace

OutputFile::OutputFile(const fs::path& path) : what_(path.string()), path_(path) {
  std::error_code none;
  if (const fs::path real = fs::canonical(path, none); !none) path_ = real;
  if (path_.filename().empty()) throw error(errc::bad_name, "output \"" + what_ + "\": expected a file name");
  struct stat old {};
  if (::stat(path_.c_str(), &old) != 0) {
    // What can't be looked up now couldn't be named in the end either.
    if (errno != ENOENT) throw_errno("looking up " + what_);
    open_replacement();
  } else if (S_ISREG(old.st_mode)) {
    open_replacement();
    if (::fchmod(file_.get(), old.st_mode & 07777U) != 0) throw_errno("setting the permissions of " + what_);
  } else {
    direct_ = true;
    file_.reset(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (!file_) throw_errno("opening " + what_);
  }
}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::open_replacement() {
  open_nameless();
  if (!file_) open_temporary();
}

void OutputFile::open_nameless() {
  // A name is given through /proc later.
  if (::access("/proc/self/fd", X_OK) != 0) return;
  file_.reset(::open(directory_of(path_).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kModeLessUmask));
  // EISDIR: a kernel that doesn't know the flag.
  if (!file_ && errno != EOPNOTSUPP && errno != EISDIR)
    throw_errno("making a file in the directory of " + what_);
}

void OutputFile::open_temporary() {
  take_free_name([this](const char* name) {
    file_.reset(::open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, kModeLessUmask));
    return static_cast<bool>(file_);
  });
}

void OutputFile::take_temporary_name() {
  const std::string self = fmt::format("/proc/self/fd/{}", file_.get());
  take_free_name([&](const char* name) {
    return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
  });
}

void OutputFile::take_free_name(const std::function<bool(const char*)>& make) {
  for (unsigned number = 0;; ++number) {
    const fs::path name = directory_of(path_) / fmt::format(".sluice-{}-{}", ::getpid(), number);
    if (make(name.c_str())) {
      temporary_ = name;
      remove_on_signal_ = std::make_unique<RemoveOnSignal>(name);
      return;
    }
    if (errno != EEXIST) throw_errno("making a file in the directory of " + what_);
  }
}

void OutputFile::commit() {
  sync(file_.get(), what_);
  if (direct_) return;
  if (temporary_.empty()) take_temporary_name();
  rename_durably(temporary_, path_, what_);
  temporary_.clear();
  remove_on_signal_ = nullptr;
}

}  // namespace sluice::tools
