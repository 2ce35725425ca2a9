// A copy of a message would release it under the other.
// expected: deleted
#include "sluice/ipc.hpp"

sluice::Message take(sluice::Message& message) {
#ifdef MUST_NOT_COMPILE
  return message;
#else
  return std::move(message);
#endif
}
