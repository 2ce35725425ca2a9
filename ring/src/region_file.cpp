#include "region_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::ring {

RegionFile::RegionFile(std::filesystem::path path)
    : path_(std::move(path)), new_path_(path_.string() + ".new") {
  ::unlink(new_path_.c_str());
  descriptor_ = Descriptor(
      ::open(new_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!descriptor_) throw_errno("making the region's file " + new_path_.string());
  struct stat info {};
  if (::fstat(descriptor(), &info) != 0) throw_errno("fstat of the region's file " + new_path_.string());
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

RegionFile::~RegionFile() {
  if (!in_place_ && descriptor_) ::unlink(new_path_.c_str());
}

Descriptor RegionFile::put_in_place() {
  Descriptor reading(::open(new_path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!reading) throw_errno("opening the region's file " + new_path_.string());
  if (std::rename(new_path_.c_str(), path_.c_str()) != 0)
    throw_errno("renaming the region's file to " + path_.string());
  in_place_ = true;
  descriptor_ = Descriptor();
  return reading;
}

void RegionFile::remove() noexcept {
  struct stat info {};
  if (!in_place_ || ::lstat(path_.c_str(), &info) != 0) return;
  if (info.st_dev == device_ && info.st_ino == inode_) ::unlink(path_.c_str());
}

}  // namespace sluice::ring
