// A file that a region is kept in.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "sluice/base/descriptor.hpp"

namespace sluice::ring {

/// Made under another name; takes its place under its own only when the region is complete, so that whoever
/// finds it there can go on from it.
class RegionFile {
 public:
  /// Makes "<path>.new", mode 0600; removes what a killed process left there. Throws the system's error.
  explicit RegionFile(std::filesystem::path path);
  RegionFile(const RegionFile&) = delete;
  RegionFile& operator=(const RegionFile&) = delete;
  /// The file stays, unless it never took its place.
  ~RegionFile();

  int descriptor() const noexcept { return descriptor_.get(); }

  /// Takes its place. Returns a descriptor for reading; that for writing is closed.
  Descriptor put_in_place();

  /// Removes the file if it is still the one made here.
  void remove() noexcept;

 private:
  std::filesystem::path path_;
  std::filesystem::path new_path_;
  Descriptor descriptor_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool in_place_ = false;
};

}  // namespace sluice::ring
