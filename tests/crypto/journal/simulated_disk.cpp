#include "simulated_disk.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace sluice::crypto::test {
namespace {

constexpr std::size_t kSector = 512;

SimulatedDisk* disk =
    nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): of plain functions

struct stat status_of(int fd) {
  struct stat status {};
  ::fstat(fd, &status);
  return status;
}

// The descriptor may be one for writing only.
Bytes content_of(int fd) {
  return read_file("/proc/self/fd/" + std::to_string(fd));
}

int no_power() {
  errno = EIO;
  return -1;
}

}  // namespace

SimulatedDisk::SimulatedDisk(std::filesystem::path directory, std::mt19937_64& random, std::uint64_t cut_at)
    : directory_(std::move(directory)), random_(random), left_(cut_at), moments_{names()} {
  for (const auto& [name, inode] : moments_.front()) files_[inode].synced = read_file(directory_ / name);
  disk = this;
  base::file_ops().write = write;
  base::file_ops().fsync = fsync;
  base::file_ops().rename = rename;
}

SimulatedDisk::~SimulatedDisk() {
  base::file_ops() = saved_;
  disk = nullptr;
}

bool SimulatedDisk::was_cut() const {
  const std::lock_guard lock(mutex_);
  return cut_;
}

void SimulatedDisk::write_image(const std::filesystem::path& place) const {
  std::filesystem::create_directory(place);
  for (const auto& [name, bytes] : image_) write_file(place / name, bytes);
}

SimulatedDisk::Names SimulatedDisk::names() const {
  Names names;
  if (!std::filesystem::exists(directory_)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) == 0) names[entry.path().filename().string()] = status.st_ino;
  }
  return names;
}

// What the file holds now; what it held when it was synced, if it has no name any more.
Bytes SimulatedDisk::content_of(Inode inode) const {
  for (const auto& [name, other] : names()) {
    if (other == inode) return read_file(directory_ / name);
  }
  const auto file = files_.find(inode);
  return file == files_.end() ? Bytes() : file->second.synced;
}

// With the mutex held. False: there is no power.
bool SimulatedDisk::goes_on() {
  if (!cut_ && left_-- == 0) cut();
  return !cut_;
}

void SimulatedDisk::cut() {
  cut_ = true;
  moments_.push_back(names());
  for (const auto& [name, inode] : moments_[below(moments_.size())])
    image_[name] = torn(files_[inode], content_of(inode));
}

// Some of the sectors written since the last sync.
Bytes SimulatedDisk::torn(const File& file, const Bytes& now) {
  auto lengths = file.lengths;
  lengths.push_back(file.synced.size());
  lengths.push_back(now.size());
  const std::uint64_t kind = below(4);
  if (kind == 0) return file.synced;
  if (kind == 1) return now;
  Bytes bytes(kind == 2 ? lengths[below(lengths.size())] : std::max(now.size(), file.synced.size()));
  for (std::size_t at = 0; at < bytes.size(); at += kSector) {
    const std::size_t end = std::min(bytes.size(), at + kSector);
    const bool fresh = below(3) > 0;
    const std::size_t length = fresh ? lengths[below(lengths.size())] : file.synced.size();
    const Bytes& from = fresh && length > file.synced.size() ? now : file.synced;
    for (std::size_t i = at; i < end && i < length && i < from.size(); ++i) bytes[i] = from[i];
  }
  return bytes;
}

// A write that the cut interrupts is done in part.
ssize_t SimulatedDisk::write(int fd, const void* bytes, std::size_t size) {
  const std::lock_guard lock(disk->mutex_);
  if (!disk->cut_ && disk->left_ == 0) (void)!::write(fd, bytes, disk->below(size));
  if (!disk->goes_on()) return no_power();
  const ssize_t count = ::write(fd, bytes, size);
  const auto status = status_of(fd);
  disk->files_[status.st_ino].lengths.push_back(static_cast<std::size_t>(status.st_size));
  return count;
}

int SimulatedDisk::fsync(int fd) {
  const auto status = status_of(fd);
  const bool is_directory = S_ISDIR(status.st_mode);
  const Names names = is_directory ? disk->names() : Names();
  const Bytes bytes = is_directory ? Bytes() : test::content_of(fd);
  std::this_thread::sleep_for(
      std::chrono::microseconds(status.st_size % 4 * 100));  // others may write meanwhile
  const std::lock_guard lock(disk->mutex_);
  if (!disk->goes_on()) return no_power();
  if (!is_directory) disk->files_[status.st_ino] = {.synced = bytes};
  struct stat ours {};
  const bool is_ours =
      is_directory && ::stat(disk->directory_.c_str(), &ours) == 0 && ours.st_ino == status.st_ino;
  if (is_ours) disk->moments_ = {names};
  return 0;
}

int SimulatedDisk::rename(int directory, const char* from, const char* to) {
  const std::lock_guard lock(disk->mutex_);
  if (!disk->goes_on()) return no_power();
  const int result = ::renameat(directory, from, directory, to);
  disk->moments_.push_back(disk->names());
  return result;
}

}  // namespace sluice::crypto::test
