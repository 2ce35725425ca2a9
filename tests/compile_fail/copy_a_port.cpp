// A port has one owner.
// expected: deleted
#include "sluice/ipc.hpp"

sluice::Port take(sluice::Port& port) {
#ifdef MUST_NOT_COMPILE
  return port;
#else
  return std::move(port);
#endif
}
