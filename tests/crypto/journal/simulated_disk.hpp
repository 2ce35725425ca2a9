// A disk whose power is cut: of what wasn't synced, any part may be there afterwards and any part not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "sluice/base/detail/file_io.hpp"
#include "support.hpp"

namespace sluice::crypto::test {

/// Watches what is written, synced and renamed in one directory while it lives. Before operation number `cut_at`
/// the power goes: `image()` is what a disk may hold then, and every later operation fails.
///
/// A file that was synced holds what it held then; its later sectors (512 bytes) hold that, or what was written
/// since, each as of any write. The directory is as of its last sync, or any later moment.
class SimulatedDisk {
 public:
  SimulatedDisk(std::filesystem::path directory, std::mt19937_64& random, std::uint64_t cut_at);
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;
  ~SimulatedDisk();

  bool was_cut() const;
  /// Writes what is left into a new directory.
  void write_image(const std::filesystem::path& place) const;

 private:
  using Inode = std::uint64_t;
  using Names = std::map<std::string, Inode>;
  struct File {
    Bytes synced{};
    std::vector<std::size_t> lengths{};  // after each write since then
  };

  static ssize_t write(int fd, const void* bytes, std::size_t size);
  static int fsync(int fd);
  static int rename(int directory, const char* from, const char* to);

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool goes_on();
  Names names() const;
  Bytes content_of(Inode inode) const;
  Bytes torn(const File& file, const Bytes& now);
  void cut();

  const std::filesystem::path directory_;
  std::mt19937_64& random_;
  std::uint64_t left_;
  mutable std::mutex mutex_;
  bool cut_ = false;
  std::map<Inode, File> files_;
  std::vector<Names> moments_;  // of the directory: the synced one, and those since
  std::map<std::string, Bytes> image_;
  const base::FileOps saved_ = base::file_ops();
};

}  // namespace sluice::crypto::test
