#include "part_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

/// How long a process that has been killed may take until its lock is free.
constexpr auto kTimeToEnd = std::chrono::seconds(1);

/// What a new file of this process may be.
mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666U & ~mask;
}

/// Cut to what a file system allows.
std::filesystem::path part_of(const std::filesystem::path& path) {
  constexpr std::string_view kSuffix = ".sluice-part";
  const std::string name = path.filename().string().substr(0, NAME_MAX - 1 - kSuffix.size());
  return path.parent_path() / fmt::format(".{}{}", name, kSuffix);
}

/// Where a path leads.
std::filesystem::path behind_links(std::filesystem::path path) {
  std::error_code none;
  if (auto real = std::filesystem::canonical(path, none); !none) return real;
  // To nothing, perhaps. What a link in /proc says isn't always a path.
  constexpr int kMostLinks = 40;
  for (int links = 0; !std::filesystem::exists(path, none) && links < kMostLinks; ++links) {
    const auto target = std::filesystem::read_symlink(path, none);
    if (none) break;
    path = path.parent_path() / target;
  }
  return path;
}

}  // namespace

OutputPlace::OutputPlace(const std::string& name) : path(behind_links(name)) {
  if (path.filename().empty()) throw std::runtime_error("output \"" + name + "\": expected a file name");
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0) {
    replaceable = S_ISREG(old.st_mode);
    is_fifo = S_ISFIFO(old.st_mode);
    mode = old.st_mode & 07777U;
  } else if (errno == ENOENT) {
    mode = usual_mode();
  } else {
    throw_errno("look up " + name);
  }
}

PartFile::PartFile(const std::string& file) : what_(file), place_(file), part_(part_of(place_.path)) {
  if (!place_.replaceable) throw std::runtime_error("output " + what_ + ": --resume needs a regular file");
  while (!open()) {
  }
  bytes_ = sha256_.update_from(file_.get(), std::numeric_limits<std::uint64_t>::max(), part_);
}

PartFile::~PartFile() {
  if (file_ && bytes_ == 0) ::unlink(part_.c_str());
}

bool PartFile::open() {
  // O_NONBLOCK: a FIFO that somebody put there doesn't hold this process up.
  file_.reset(::open(part_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file_) throw_errno("open " + part_);
  check_owner();
  if (!base::lock_file_in_time(file_.get(), part_, kTimeToEnd))
    throw std::runtime_error(part_ + " is being written by another process");
  // The one who had the lock before may have given the file its final name, or removed it.
  return base::is_named(file_.get(), AT_FDCWD, part_);
}

void PartFile::check_owner() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("look up " + part_);
  if (S_ISREG(info.st_mode) && info.st_uid == ::geteuid() && info.st_nlink <= 1) return;
  throw std::runtime_error(
      fmt::format("{}: expected a regular file of user {} with one name, got {} of user {} with {}", part_,
                  ::geteuid(), S_ISREG(info.st_mode) ? "one" : "something else", info.st_uid, info.st_nlink));
}

void PartFile::begin_anew() {
  bytes_ = 0;
  sha256_ = Sha256();
}

void PartFile::write(std::span<const std::byte> bytes) {
  if (bytes_ == 0) cut();
  base::write_all_at(file_.get(), bytes, bytes_, part_);
  bytes_ += bytes.size();
  sha256_.update(bytes);
}

/// Nothing is behind what counts.
void PartFile::cut() {
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0) throw_errno("truncate " + part_);
}

void PartFile::commit() {
  cut();
  if (::fchmod(file_.get(), place_.mode) != 0) throw_errno("set the permissions of " + what_);
  base::sync_file(file_.get(), part_);
  if (::rename(part_.c_str(), place_.path.c_str()) != 0) throw_errno("rename " + part_ + " to " + what_);
  file_.reset();
  base::sync_if_possible(base::open_directory_of(AT_FDCWD, place_.path).get(), "the directory of " + what_);
}

}  // namespace sluice::tools
