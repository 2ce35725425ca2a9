// Ports come from the functions that connect them.
// expected: private
#include <memory>

#include "sluice/ipc.hpp"

sluice::Port make() {
#ifdef MUST_NOT_COMPILE
  return sluice::Port(std::shared_ptr<sluice::ipc::PortImpl>());
#else
  return sluice::Port();
#endif
}
