// A library of somebody else, of which sluice is a part.
#include <unistd.h>

#include <sluice/crypto/key/secret_key.hpp>
#include <sluice/ipc/connect/endpoint.hpp>
#include <string>

bool parent_works() {
  sluice::listen("parent-" + std::to_string(::getpid()));
  return sluice::crypto::SecretKey::generate().bytes().size() == sluice::crypto::SecretKey::kSize;
}
