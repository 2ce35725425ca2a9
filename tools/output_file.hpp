// A file that appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "file_io.hpp"
#include "remove_on_signal.hpp"
#include "sluice/base/descriptor.hpp"

namespace sluice::tools {

/// Writes a new file beside the old one, and takes the old one's place (and its permissions) with commit().
/// Without commit() nothing is left and the old file is untouched, also when the process is killed: the new
/// file has no name until then, or, where the file system has no nameless files, one that signals remove.
/// Something that exists and is no regular file (a device, a FIFO) is written to directly.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void write(std::span<const std::byte> bytes) { write_fully(file_.get(), bytes, what_); }

  /// Makes the bytes durable, then gives the file its name. Once only.
  void commit();

 private:
  void open_replacement();
  void open_nameless();
  void open_temporary();
  void take_temporary_name();
  /// Lets `make` make a file of a name nobody has; it answers false, with errno, where it can't.
  void take_free_name(const std::function<bool(const char* name)>& make);

  std::string what_;                 // for messages
  std::filesystem::path path_;       // with symbolic links resolved
  std::filesystem::path temporary_;  // empty: no name yet
  std::unique_ptr<RemoveOnSignal> remove_on_signal_;
  Descriptor file_;
  bool direct_ = false;
};

}  // namespace sluice::tools
