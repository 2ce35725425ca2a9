// What is read as a value must be one that can be posted.
// expected: constraint|no matching
#include "sluice/ipc.hpp"

bool has_price(const sluice::Message& message) {
#ifdef MUST_NOT_COMPILE
  return message.as<long*>().has_value();
#else
  return message.as<long>().has_value();
#endif
}
