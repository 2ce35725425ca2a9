#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace sluice::test {
namespace {

thread_local Allocations so_far;

}  // namespace

Allocations allocations() noexcept {
  return so_far;
}

}  // namespace sluice::test

void* operator new(std::size_t bytes) {
  ++sluice::test::so_far.count;
  sluice::test::so_far.bytes += bytes;
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
