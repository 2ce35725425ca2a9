// A value that a test shares with its children, and that outlives them.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <type_traits>

namespace sluice::test {

/// Make it before the fork. Its value must need no destructor, since a child may be killed inside it.
template <typename Value>
class SharedPage {
  static_assert(std::is_trivially_destructible_v<Value>);

 public:
  SharedPage()
      : memory_(::mmap(nullptr, sizeof(Value), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
    reset();
  }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;
  ~SharedPage() { ::munmap(memory_, sizeof(Value)); }

  /// A new value in the same place.
  void reset() { new (memory_) Value{}; }

  Value* operator->() const noexcept { return static_cast<Value*>(memory_); }
  Value& operator*() const noexcept { return *static_cast<Value*>(memory_); }

 private:
  void* memory_;
};

}  // namespace sluice::test
