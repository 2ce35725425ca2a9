// What a command reads: a file, or standard input. Its errors name it.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "sluice/base/descriptor.hpp"

namespace sluice::tools {

class Input {
 public:
  enum class Kind {
    any,
    waited_for,  ///< the same, but a FIFO without a writer is opened at once, and is readable when one comes
    regular_file,
  };

  /// "-" is standard input. Throws the system's error, also for a directory, and for anything that is no
  /// regular file if `kind` asks for one.
  explicit Input(const std::string& path, Kind kind = Kind::any);

  int fd() const noexcept;
  const std::string& name() const noexcept { return name_; }

  /// As it is now.
  struct stat status() const;
  /// Bytes of a regular file; nothing if how much will come isn't known.
  std::optional<std::uint64_t> size() const;
  /// Whether it has the size and time of an earlier status().
  bool is_as(const struct stat& before) const;
  /// Whether this descriptor is open on the same regular file.
  bool is_file_of(int fd) const;

  /// Of a regular file: what is read next is at this offset.
  void go_to(std::uint64_t offset) const;
  /// Once it is readable: reads what is there, up to room.size() bytes; 0 at the end. Nothing if there is
  /// nothing after all.
  std::optional<std::size_t> try_read(std::span<std::byte> room) const;

 private:
  std::string name_;
  Descriptor file_;
};

}  // namespace sluice::tools
