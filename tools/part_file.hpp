// A file that grows beside its final name, and is found again by the next process if this one is killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "output.hpp"
#include "sha256.hpp"
#include "sluice/base/descriptor.hpp"

namespace sluice::tools {

/// FILE.part (mode 0600, in FILE's directory), until commit() makes it FILE, with the permissions of the FILE
/// that it replaces. What is in FILE.part when it is opened may be of any transfer: the caller checks the
/// digest. One process at a time: the file is locked while it is open.
class PartFile {
 public:
  /// Opens nothing yet. `file` must be a regular file or not exist, and its directory must be writable.
  explicit PartFile(const std::string& file);

  /// Opens it as an empty file.
  void start_anew();
  /// Opens the one that a predecessor left; false, and nothing is opened, if there is none.
  bool reopen();
  bool is_open() const noexcept { return static_cast<bool>(file_); }

  std::uint64_t size() const;
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Cuts off what is behind `size`.
  void truncate(std::uint64_t size);
  Sha256Digest digest() const;

  /// Makes the bytes durable and gives them the name FILE.
  void commit();
  /// Removes it, if it is open.
  void discard() noexcept;

  /// Whether FILE itself has this size and digest.
  bool is_complete(std::uint64_t size, const Sha256Digest& digest) const;

  /// For messages.
  const std::string& part_name() const { return part_; }

 private:
  bool open(int flags);
  void check_owner() const;
  void lock() const;

  std::string what_;
  OutputPlace place_;  // of FILE
  std::string part_;
  Descriptor file_;
};

}  // namespace sluice::tools
