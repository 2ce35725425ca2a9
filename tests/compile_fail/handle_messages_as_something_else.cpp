// A message handler takes bytes or text.
// expected: no matching function|could not convert|no viable conversion|cannot convert
#include "sluice/ipc.hpp"

void handle(sluice::Port& port) {
#ifdef MUST_NOT_COMPILE
  port.on_message([](int) {});
#else
  port.on_message([](std::string_view) {});
#endif
}
