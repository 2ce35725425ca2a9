// The two ends of a sealing or opening command: files or standard input and output, and a progress bar
// between.
#pragma once

#include <chrono>
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
  explicit Output(const std::string& path);
  crypto::ByteSink& sink();
  void commit();

 private:
  std::optional<crypto::AtomicFile> file_;
  crypto::FdSink standard_output_;
};

/// Draws a line on standard error where that is a terminal, at most ten times a second; else nothing.
class ProgressBar {
 public:
  /// `total`: the bytes to expect, if known.
  explicit ProgressBar(std::optional<std::uint64_t> total);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  void show(std::uint64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  bool on_;
  std::optional<std::uint64_t> total_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
};

}  // namespace sluice::tools
