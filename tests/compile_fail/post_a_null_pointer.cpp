// No text is an empty message, not a null pointer.
// expected: deleted
#include "sluice/ipc.hpp"

sluice::Status send(sluice::Port& port) {
#ifdef MUST_NOT_COMPILE
  return port.post_message(nullptr);
#else
  return port.post_message({});
#endif
}
