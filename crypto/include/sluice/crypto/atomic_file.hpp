// A file that appears under its name only when complete and durable.
//
// The bytes go to a file without a name (O_TMPFILE) in the target's directory. commit() syncs it, names it
// ".NAME.sluice-new", renames that over NAME and syncs the directory; without commit(), and when the writer
// is killed, nothing is left. Where the file system has no such files, or /proc isn't there, the file has its
// temporary name from the start, locked (flock) while its writer lives: without commit() it is removed, and
// what a killed writer left is found unlocked and removed by the next one for the same name. The old file is
// there, whole, until the rename.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "sluice/crypto/seal/byte_io.hpp"

namespace sluice::crypto {

struct AtomicFileOptions {
  mode_t mode = 0600;   ///< of the new file; the umask doesn't apply
  bool replace = true;  ///< false: commit() fails (system error file_exists) where the name is taken
};

/// Writes one file, or nothing. A ByteSink. Not thread-safe. Move only between uses.
class AtomicFile final : public ByteSink {
 public:
  using Options = AtomicFileOptions;

  /// Starts the new file. Two writers of one name don't disturb each other, and the last one to commit wins;
  /// except that the second is refused (sluice::errc::busy) where the first one's file has a name.
  /// sluice::errc::unsafe_place where the name is something else than a regular file or the temporary name
  /// belongs to another user, or the system's.
  explicit AtomicFile(const std::filesystem::path& path, Options options = {});
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() override;

  /// Where an unfinished file for `path` may be found, see above: to be removed by who is about to be killed.
  static std::filesystem::path temporary_path(const std::filesystem::path& path);

  /// Before the first write: about how many bytes will come. A long file on a tmpfs is then given huge pages,
  /// where the kernel has some, and is written faster. Holds nobody to anything; a second call does nothing.
  void expect(std::uint64_t bytes);
  /// As many as the regular file behind `fd` holds; its holes don't count. Any other thing: not known.
  void expect_as_much_as(int fd);

  void write(std::span<const std::byte> bytes) override;

  /// The temporary file, which holds what was written so far: to be read, for a check before commit().
  int fd();

  /// Makes the bytes durable under the final name; once only. After a failure before the rename the old file
  /// is untouched; where only the last step (syncing the directory) fails, the new file stands but may not
  /// survive a power loss, and the error says so.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::crypto
