// A message that nobody takes is lost.
// expected: nodiscard|ignoring return
#include "sluice/ipc.hpp"

void skip(sluice::Port& port) {
#ifdef MUST_NOT_COMPILE
  port.receive();
#else
  const sluice::Message message = port.receive();
#endif
}
