#include "part_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include "input.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

/// How long a process that has been killed may take until its lock is free.
constexpr auto kTimeToEnd = std::chrono::seconds(1);

Sha256Digest digest_of(int fd, const std::string& name) {
  Sha256 sha256;
  std::vector<std::byte> room(1U << 20U);
  for (std::uint64_t offset = 0;; offset += room.size()) {
    const std::size_t count = base::read_all_at(fd, room, offset, name);
    sha256.update(std::span(room).first(count));
    if (count < room.size()) return sha256.finish();
  }
}

}  // namespace

PartFile::PartFile(const std::string& file)
    : what_(file), place_(file), part_(place_.path.string() + ".part") {
  if (std::filesystem::is_directory(place_.path)) throw_errno(EISDIR, "output " + what_);
  if (!place_.replaceable) throw std::runtime_error("output " + what_ + ": --resume needs a regular file");
  const Descriptor directory = base::open_directory_of(AT_FDCWD, place_.path);
  if (::faccessat(directory.get(), ".", W_OK | X_OK, 0) != 0)
    throw_errno("make a file in the directory of " + what_);
}

void PartFile::start_anew() {
  open(O_CREAT);
  truncate(0);
  if (::fchmod(file_.get(), 0600) != 0) throw_errno("set the permissions of " + part_);
}

bool PartFile::reopen() {
  return open(0);
}

bool PartFile::open(int flags) {
  for (;;) {
    // O_NONBLOCK: a FIFO that somebody put there doesn't hold this process up.
    file_.reset(::open(part_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600));
    if (!file_ && errno == ENOENT && flags == 0) return false;
    if (!file_) throw_errno("open " + part_);
    check_owner();
    lock();
    // The one who had the lock before may have given the file its final name, or removed it.
    if (base::is_named(file_.get(), AT_FDCWD, part_)) return true;
  }
}

void PartFile::check_owner() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("look up " + part_);
  if (S_ISREG(info.st_mode) && info.st_uid == ::geteuid() && info.st_nlink <= 1) return;
  throw std::runtime_error(
      fmt::format("{}: expected a regular file of user {} with one name, got {} of user {} with {}", part_,
                  ::geteuid(), S_ISREG(info.st_mode) ? "one" : "something else", info.st_uid, info.st_nlink));
}

void PartFile::lock() const {
  const auto deadline = std::chrono::steady_clock::now() + kTimeToEnd;
  while (!base::lock_file(file_.get(), LOCK_EX | LOCK_NB, part_)) {
    if (std::chrono::steady_clock::now() >= deadline)
      throw std::runtime_error(part_ + " is being written by another process");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::uint64_t PartFile::size() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("look up " + part_);
  return static_cast<std::uint64_t>(info.st_size);
}

void PartFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  base::write_all_at(file_.get(), bytes, offset, part_);
}

void PartFile::truncate(std::uint64_t size) {
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) throw_errno("truncate " + part_);
}

Sha256Digest PartFile::digest() const {
  return digest_of(file_.get(), part_);
}

void PartFile::commit() {
  if (::fchmod(file_.get(), place_.mode) != 0) throw_errno("set the permissions of " + what_);
  base::sync_file(file_.get(), part_);
  if (::rename(part_.c_str(), place_.path.c_str()) != 0) throw_errno("rename " + part_ + " to " + what_);
  file_.reset();
  base::sync_if_possible(base::open_directory_of(AT_FDCWD, place_.path).get(), "the directory of " + what_);
}

void PartFile::discard() noexcept {
  if (!file_) return;
  ::unlink(part_.c_str());
  file_.reset();
}

bool PartFile::is_complete(std::uint64_t size, const Sha256Digest& digest) const {
  if (!std::filesystem::is_regular_file(place_.path)) return false;
  const Input file(place_.path, Input::Kind::regular_file);
  return file.size() == size && digest_of(file.fd(), what_) == digest;
}

}  // namespace sluice::tools
