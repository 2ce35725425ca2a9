// A value is posted as it lies in memory, so that it must be trivially copyable.
// expected: no matching function
#include <string>

#include "sluice/ipc.hpp"

struct Tick {
  long price;
#ifdef MUST_NOT_COMPILE
  std::string symbol;
#else
  char symbol[8];
#endif
};

sluice::Status send(sluice::Port& port, const Tick& tick) {
  return sluice::post(port, tick);
}
