// AnyPort holds message ports.
// expected: no matching
#include "sluice/ipc.hpp"

sluice::AnyPort hold(sluice::Port port) {
#ifdef MUST_NOT_COMPILE
  (void)port;
  return sluice::AnyPort(5);
#else
  return sluice::AnyPort(std::move(port));
#endif
}
