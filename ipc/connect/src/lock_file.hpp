// A file that is locked by whoever owns a place, and goes with the lock.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/uninherited_descriptor.hpp"

namespace sluice::ipc {

/// An exclusive lock (flock) that ends with this object or with its process, and that no forked child keeps.
/// Only this user can open the file, so that no other can keep us waiting. Thread-safety: none.
class LockFile {
 public:
  /// Locks nothing yet. `name` is looked up below `directory` (or AT_FDCWD), which must stay open; `beside` is
  /// added to it in errors.
  LockFile(int directory, std::string name, const std::string& beside = {})
      : directory_(directory),
        name_(std::move(name)),
        what_("the lock " + base::quoted_text(name_) + beside) {}
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  /// Removes the file, if the lock on it is held.
  ~LockFile();

  /// Never waits: false if somebody else has the lock. Throws errc::unsafe_place for what is none of this
  /// user's files or has a second name, and the system's error.
  bool try_to_lock();
  /// Takes the place away from whoever has the lock; it finds that out by was_replaced().
  void take_over();

  /// Whether this object has the lock, and the file its name.
  bool held() const noexcept;
  /// Whether the lock was had here, and another file has the name now.
  bool was_replaced() const noexcept;

 private:
  int open_file() const;
  bool lock_opened();
  void check_ours(const struct stat& info) const;

  int directory_;
  std::string name_;
  std::string what_;
  base::UninheritedDescriptor file_;
};

}  // namespace sluice::ipc
