// A file that appears under its name only when it is complete.
//
// The bytes go to a file without a name (O_TMPFILE) in the target's directory. commit() syncs it, names it
// ".NAME.sluice-new", renames that over NAME and syncs the directory. Without commit(), or if the writer is
// killed before it, nothing is left. The old file is there, whole, until the rename.
//
// Some file systems have no such files, and without /proc none can be named. Then the file has its temporary
// name from the start, and is locked (flock) while its writer lives: without commit() it is removed, and
// what a killed writer left is found unlocked and removed by the next one for the same name. A program that
// ends by a signal can remove it itself: see temporary_path().
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

struct AtomicFileOptions {
  /// Of the new file, whatever the umask. nullopt, for what a user asked for: that of the file it replaces,
  /// or else 0666 less the umask.
  std::optional<mode_t> mode = 0600;
  /// false: commit() fails (system error file_exists) if the name is taken.
  bool replace = true;
  /// false: commit() doesn't wait for the disk. The file outlives the process, but maybe not a power failure.
  bool durable = true;
  /// If there are only named files, a second writer waits for the first one, 10 s at most. false: it is
  /// refused at once.
  bool wait_for_others = false;
  /// The file has its temporary name from the start, so that there is one writer at a time on every file
  /// system: errc::busy for the second one.
  bool one_writer = false;
  /// An open directory in which a relative path starts.
  int directory = AT_FDCWD;
};

/// Writes one file, or nothing. A symbolic link is refused: who wants to follow it resolves the path before.
/// Not thread-safe. Move only between uses. Every call after commit(), of what was moved from or in a forked
/// child is errc::misuse; the child removes nothing. Throws sluice::error.
class AtomicFile {
 public:
  using Options = AtomicFileOptions;

  /// Starts the new file. Two writers of one name don't disturb each other, and the last one to commit wins;
  /// but see wait_for_others and one_writer (errc::busy). errc::busy also if somebody who can read the file
  /// under the temporary name, or has linked it there, keeps it locked for 10 s. errc::unsafe_place if the
  /// name is that of something else than a regular file or the temporary name belongs to another user; or
  /// the system's error.
  explicit AtomicFile(const std::filesystem::path& path, Options options = {});
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// The path of an unfinished file for `path`, if it has one: a signal handler can remove it.
  static std::filesystem::path temporary_path(const std::filesystem::path& path);

  /// Removes the unfinished files that killed writers left in an open directory, of names that end in
  /// `ending` (".checkpoint"). Leaves those of living writers alone, and what it can't remove.
  static void remove_leftovers(int directory, std::string_view ending);

  /// Before the first write: about how many bytes will come. A long file on a tmpfs is then given huge pages,
  /// if the kernel has some, and is written faster. Holds nobody to anything; a second call does nothing.
  void expect(std::uint64_t bytes);
  /// As many as the regular file behind `fd` holds; its holes don't count. Does nothing for anything else.
  void expect_as_much_as(int fd);

  /// Adds to the file.
  void write(std::span<const std::byte> bytes);

  /// The unfinished file, which holds what was written so far: to be read, mapped or written in another way.
  int fd();

  /// Another descriptor of the file, for reading only, which stays when this object ends.
  Descriptor open_for_reading() const;

  /// Gives the file its name; once only. After a failure before the rename the old file is untouched. If only
  /// the last step fails (syncing the directory), the new file stands but may not survive a power failure,
  /// and the error says so.
  void commit();

 private:
  struct [[gnu::visibility("hidden")]] State;
  [[gnu::visibility("hidden")]] State& state() const;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::base

#pragma GCC visibility pop
