// Whoever posts must look at what became of it.
// expected: nodiscard|ignoring return
#include "sluice/ipc.hpp"

void send(sluice::Port& port) {
#ifdef MUST_NOT_COMPILE
  port.post_message("text");
#else
  if (port.post_message("text") != sluice::Status::ok) port.close();
#endif
}
