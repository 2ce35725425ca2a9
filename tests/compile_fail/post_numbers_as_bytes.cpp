// A message is bytes or text; how other values become bytes is said explicitly.
// expected: no matching function|cannot convert|could not convert|no viable conversion
#include <vector>

#include "sluice/ipc.hpp"

sluice::Status send(sluice::Port& port, const std::vector<int>& numbers) {
#ifdef MUST_NOT_COMPILE
  return port.post_message(numbers);
#else
  return port.post_message(std::as_bytes(std::span(numbers)));
#endif
}
