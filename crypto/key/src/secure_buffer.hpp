// Memory for secrets: guard pages around it, locked if the system allows, out of core dumps, zeroed at the
// end.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "sluice/base/detail/fork_generation.hpp"

namespace sluice::crypto {

class SecureBuffer {
 public:
  /// `size` zero bytes from sodium_malloc. Throws std::bad_alloc.
  explicit SecureBuffer(std::size_t size);

  std::span<std::byte> bytes() noexcept { return {memory_.get(), size_}; }
  std::span<const std::byte> bytes() const noexcept { return {memory_.get(), size_}; }

  /// Whether the pages are locked in memory (RLIMIT_MEMLOCK permitting): reported, not assumed. A forked
  /// child's copy never is.
  bool locked() const noexcept { return locked_ && !owner_.inherited(); }

  /// From now on a write into this memory is a fault.
  void make_readonly() noexcept;

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t size_;
  bool locked_ = false;
  base::OwnerProcess owner_;
};

/// Overwrites memory so that no optimiser leaves it out.
void wipe(std::span<std::byte> bytes) noexcept;

/// Compares in a time that depends on the sizes only.
bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right) noexcept;

/// Fills with random bytes from the kernel's generator.
void fill_random(std::span<std::byte> bytes);

/// Starts libsodium once; every entry point that uses it goes through here. Throws if it can't start.
void require_sodium();

}  // namespace sluice::crypto
