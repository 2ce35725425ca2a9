// A copy of a claim could be committed a second time.
// expected: deleted
#include "sluice/ipc.hpp"

sluice::Claim take(sluice::Claim& claim) {
#ifdef MUST_NOT_COMPILE
  return claim;
#else
  return std::move(claim);
#endif
}
