// The two ends of a sealing or opening command: files, or standard input and output. Their errors name them.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "remove_on_signal.hpp"
#include "sluice/crypto/atomic_file.hpp"
#include "sluice/crypto/byte_io.hpp"
#include "sluice/crypto/error.hpp"
#include "sluice/ring/descriptor.hpp"

namespace sluice::tools {

/// A file, or standard input for "-".
class Input final : public crypto::ByteSource {
 public:
  explicit Input(const std::string& path);

  std::size_t read(std::span<std::byte> into) override;
  void interrupt() noexcept override { source_.interrupt(); }

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
class Output final : public crypto::ByteSink {
 public:
  /// Throws where standard output is the input's file, which would never end.
  Output(const std::string& path, const Input& input);

  void write(std::span<const std::byte> bytes) override;
  void commit();

 private:
  std::optional<RemoveOnSignal> remove_on_signal_;  // until the file is gone, or has its name
  std::optional<crypto::AtomicFile> file_;
};

/// Runs `work`. What it finds wrong with a stream names no file: it is told about `name`.
template <class Work>
void naming(const std::string& name, Work work) {
  try {
    work();
  } catch (const crypto::error& failure) {
    if (failure.code().category() != crypto::category()) throw;
    throw failure.about(name);
  }
}

}  // namespace sluice::tools
