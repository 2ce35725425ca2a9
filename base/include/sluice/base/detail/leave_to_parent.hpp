// What a forked child does with an object whose threads, locks and connection are its parent's.
#pragma once

#include <memory>
#include <utility>

#pragma GCC visibility push(default)

namespace sluice::base {

/// Never destroys it: the child can only leave its copy alone.
template <typename T>
void leave_to_parent(std::shared_ptr<T> inherited) noexcept {
  union Undying {
    explicit Undying(std::shared_ptr<T> last) noexcept : pointer(std::move(last)) {}
    ~Undying() {}  // NOLINT(modernize-use-equals-default): leaves the pointer alone
    std::shared_ptr<T> pointer;
  };
  const Undying undying(std::move(inherited));
}

}  // namespace sluice::base

#pragma GCC visibility pop
