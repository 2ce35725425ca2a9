// The two ends of a sealing or opening command: files, or standard input and output. Their errors name them.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "remove_on_signal.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/crypto/seal/byte_io.hpp"

namespace sluice::tools {

/// A file, or standard input for "-".
class Input {
 public:
  explicit Input(const std::string& path);

  crypto::ByteSource& source() { return source_; }
  int fd() const;
  /// Bytes to come, where that is known.
  std::optional<std::uint64_t> size() const;
  const std::string& name() const { return name_; }
  /// Whether this descriptor is open on the same regular file.
  bool is_file_of(int fd) const;

 private:
  std::string name_;
  Descriptor file_;
  crypto::FdSource source_;
  struct stat status_ {};
};

/// A file that appears on commit() only, or standard output for "-".
class Output {
 public:
  /// Throws where standard output is the input's file, which would never end.
  Output(const std::string& path, const Input& input);

  crypto::ByteSink& sink();
  void commit();

 private:
  std::optional<RemoveOnSignal> remove_on_signal_;  // until the file is gone, or has its name
  std::optional<base::AtomicFile> file_;
  std::optional<crypto::AtomicFileSink> file_sink_;
  crypto::FdSink standard_output_;
};

}  // namespace sluice::tools
