// Anonymous memory that a process shares with the processes it forks.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace sluice::bench {

/// A zeroed mapping, optionally mapped a second time right behind itself so that a record which crosses the
/// end is contiguous. Allocated up front. Throws std::system_error.
class SharedMemory {
 public:
  enum class Layout { once, twice };

  /// `bytes` is rounded up to whole pages (Layout::twice: must be whole pages).
  explicit SharedMemory(std::size_t bytes, Layout layout = Layout::once);
  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), mapped_bytes_(other.mapped_bytes_) {}
  SharedMemory& operator=(SharedMemory&&) = delete;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* data() const noexcept { return address_; }

  /// Fills this process's page tables, so that no fault falls into a measurement.
  void touch() const noexcept;

 private:
  std::byte* address_ = nullptr;
  std::size_t mapped_bytes_ = 0;
};

/// One zero-initialised object in shared memory.
template <class T>
class Shared {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  Shared() : memory_(sizeof(T)), object_(new (memory_.data()) T{}) {}
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }

 private:
  SharedMemory memory_;
  T* object_;
};

}  // namespace sluice::bench
