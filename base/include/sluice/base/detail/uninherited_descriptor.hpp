// A descriptor that a forked child doesn't get.
#pragma once

#include <functional>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/fork_generation.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// Owns a descriptor whose copy in a forked child is closed before fork() returns there; the child's object
/// is then empty. For files that are locked (flock): the lock would otherwise last as long as any child that
/// has a copy. A child that is made without libc's fork() (clone, _Fork) keeps it until it ends or calls
/// exec. Thread-safety: one thread an object; a fork() may come at any time.
class UninheritedDescriptor {
 public:
  UninheritedDescriptor() noexcept = default;
  UninheritedDescriptor(const UninheritedDescriptor&) = delete;
  UninheritedDescriptor& operator=(const UninheritedDescriptor&) = delete;
  ~UninheritedDescriptor() { reset(); }

  /// The number, or -1 if nothing is owned.
  int get() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  /// Takes what `open` returns; -1 and errno, if it fails. No fork() happens between.
  void open(const std::function<int()>& open);
  /// Gives up the file's lock (flock), if there is one, and closes.
  void reset() noexcept;

 private:
  struct Registry;

  Descriptor fd_;
  OwnerProcess owner_;                         // of fd_
  UninheritedDescriptor* previous_ = nullptr;  // in the registry, if something is owned
  UninheritedDescriptor* next_ = nullptr;
};

}  // namespace sluice::base

#pragma GCC visibility pop
