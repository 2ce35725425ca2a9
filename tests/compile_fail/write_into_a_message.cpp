// A received message is the peer's memory.
// expected: read-only|not assignable|const
#include "sluice/ipc.hpp"

std::byte first(const sluice::Message& message) {
#ifdef MUST_NOT_COMPILE
  message.bytes()[0] = std::byte{1};
#endif
  return message.bytes()[0];
}
