// A view is trivially copyable, but what it refers to would stay behind.
// expected: no matching function
#include <array>
#include <span>

#include "sluice/ipc.hpp"

sluice::Status send(sluice::Port& port, const std::array<int, 3>& numbers) {
#ifdef MUST_NOT_COMPILE
  return sluice::post(port, std::span<const int>(numbers));
#else
  return sluice::post(port, numbers);
#endif
}
