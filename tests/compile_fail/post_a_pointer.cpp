// A pointer means nothing in another process.
// expected: no matching function
#include "sluice/ipc.hpp"

sluice::Status send(sluice::Port& port, const long* price) {
#ifdef MUST_NOT_COMPILE
  return sluice::post(port, price);
#else
  return sluice::post(port, *price);
#endif
}
