// Tells whether an object was made by this very process or inherited through fork().
#pragma once

#include <cstdint>

#pragma GCC visibility push(default)

namespace sluice::base {

/// A number that differs between a process and every process forked from it. An object remembers it when it
/// is made, and is inherited if the two differ. Costs one load (no system call): the number lives in a
/// page that the kernel empties in the child of every fork or clone, so it also holds if process numbers
/// agree (the first processes of two PID namespaces). Thread-safe, async-signal-safe after the first call.
std::uint64_t fork_generation() noexcept;

[[noreturn]] void throw_moved(const char* object);

/// A member of every object that belongs to the process that made it (see "Fork" in ARCHITECTURE.md).
class OwnerProcess {
 public:
  /// Whether this process is a forked child of the owner.
  bool inherited() const noexcept { return generation_ != fork_generation(); }
  /// Throws errc::misuse if so; `object` names what was used: "a journal".
  void check(const char* object) const {
    if (inherited()) [[unlikely]]
      throw_inherited(object);
  }

 private:
  [[noreturn]] static void throw_inherited(const char* object);

  std::uint64_t generation_ = fork_generation();
};

/// What a movable object keeps behind a pointer, for a call that uses it. Throws errc::misuse if the object
/// was moved from; `object` as above.
template <typename Pointer>
auto& held(const Pointer& state, const char* object) {
  if (!state) [[unlikely]]
    throw_moved(object);
  return *state;
}

/// The same for a state with an `owner`, which is checked.
template <typename Pointer>
auto& own(const Pointer& state, const char* object) {
  auto& found = held(state, object);
  found.owner.check(object);
  return found;
}

}  // namespace sluice::base

#pragma GCC visibility pop
