// The two ends of a sealing or opening command: files or standard input and output, and a progress bar
// between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sluice/crypto/atomic_file.hpp"
#include "sluice/crypto/byte_io.hpp"
#include "sluice/ring/descriptor.hpp"

namespace sluice::tools {

/// A file, or standard input for "-".
class Input {
 public:
  explicit Input(const std::string& path);
  crypto::ByteSource& source() { return source_; }
  /// Bytes to come, where that is known.
  std::optional<std::uint64_t> size() const { return size_; }

 private:
  Descriptor file_;
  crypto::FdSource source_;
  std::optional<std::uint64_t> size_;
};

/// A file that appears on commit() only, or standard output for "-".
class Output {
 public:
  /// `expected`: about how many bytes it will get; 0: not known.
  explicit Output(const std::string& path, std::uint64_t expected = 0);
  crypto::ByteSink& sink();
  void commit();

 private:
  std::optional<crypto::AtomicFile> file_;
  crypto::FdSink standard_output_;
};

}  // namespace sluice::tools
