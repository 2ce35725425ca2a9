// A file that grows beside its final name, and is found again by the next process if this one ends early.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "sha256.hpp"
#include "sluice/base/descriptor.hpp"

namespace sluice::tools {

/// Where an output goes that takes the place of what is there, as a shell's ">" does. Throws the system's
/// error, or says that `name` names no file.
struct OutputPlace {
  explicit OutputPlace(const std::string& name);

  std::filesystem::path path;  // with symbolic links resolved, also if nothing is there yet
  mode_t mode = 0;             // permissions of the new file
  bool replaceable = true;     // there is a regular file, or nothing
  bool is_fifo = false;
};

/// .FILE.sluice-part (mode 0600, in FILE's directory; of a long FILE only the beginning), until commit() makes
/// it FILE, with the permissions of the FILE that it replaces. What is in it when it is opened may be of any content: the sender checks the
/// digest. One process at a time: it is locked while it is open. Without commit() it stays, unless it is
/// empty.
class PartFile {
 public:
  /// `file` must be a regular file or not exist. Waits a second for a process that is about to end.
  explicit PartFile(const std::string& file);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();

  std::uint64_t bytes() const noexcept { return bytes_; }
  Sha256Digest digest() const { return sha256_.digest(); }

  /// What comes is of another content: it begins at 0.
  void begin_anew();
  void write(std::span<const std::byte> bytes);
  /// Makes the bytes durable and gives them the name FILE.
  void commit();

 private:
  bool open();
  void check_owner() const;
  void cut();

  std::string what_;
  OutputPlace place_;  // of FILE
  std::string part_;
  Descriptor file_;
  std::uint64_t bytes_ = 0;
  Sha256 sha256_;
};

}  // namespace sluice::tools
