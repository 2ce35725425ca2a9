// Room that nobody writes in is given back at once.
// expected: nodiscard|ignoring return
#include "sluice/ipc.hpp"

void claim(sluice::Port& port) {
#ifdef MUST_NOT_COMPILE
  port.claim(8);
#else
  const sluice::Claim room = port.claim(8);
#endif
}
