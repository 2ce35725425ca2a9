// What a command writes: a file that appears under its name only when complete, or standard output.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "input.hpp"
#include "part_file.hpp"
#include "remove_on_signal.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/descriptor.hpp"

namespace sluice::tools {

/// What becomes of an existing file.
enum class Existing {
  refuse,   ///< an error that names --force; the new file is readable by its owner only
  replace,  ///< the new file takes its place; links and devices are refused
  /// As a shell's ">": links are followed, devices and FIFOs are written to directly. The new file has the
  /// old one's permissions, or those that any new file of this process gets.
  redirect,
  resume,  ///< the same, for a regular file whose beginning an earlier run may have left: see PartFile
};

/// Without commit() an old file is untouched, and nothing is left (but see Existing::resume), also when the
/// process is killed, or ended by a signal where the file system has no nameless files.
class Output {
 public:
  /// "-" is standard output. `patience`: how long to wait for a FIFO's reader; throws if none comes.
  Output(const std::string& path, Existing existing,
         std::chrono::nanoseconds patience = std::chrono::nanoseconds::max());

  /// Before the first write: about as much will come as `input` has. Throws if standard output is the input's
  /// file: it would never end.
  void expect(const Input& input);

  /// What an earlier run left, with Existing::resume.
  PartFile* part() noexcept { return part_ ? &*part_ : nullptr; }

  void write(std::span<const std::byte> bytes);

  /// Makes the bytes durable, then gives the file its name. Once only.
  void commit();

 private:
  void open_device(const OutputPlace& place, std::chrono::nanoseconds patience);
  void name_force_if_it_exists(const std::function<void()>& step) const;

  std::string name_;
  Descriptor device_;
  std::optional<base::AtomicFile> file_;
  std::optional<PartFile> part_;
  std::optional<RemoveOnSignal> remove_on_signal_;  // while the file may have a temporary name
};

}  // namespace sluice::tools
