// A library of somebody else, of which sluice is a part.
#include <unistd.h>

#include <sluice/base/error.hpp>
#include <sluice/crypto/key/secret_key.hpp>
#include <sluice/ipc/connect/endpoint.hpp>
#include <string>

namespace {

// An error that sluice's library throws is the one that is caught here.
bool catches_errors() {
  try {
    sluice::listen(std::string(1000, 'x'));
  } catch (const sluice::error& failure) {
    return failure.code() == sluice::errc::bad_name;
  }
  return false;
}

}  // namespace

[[gnu::visibility("default")]] bool parent_works() {
  sluice::listen("parent-" + std::to_string(::getpid()));
  const sluice::crypto::SecretKey key = sluice::crypto::SecretKey::generate();
  return catches_errors() && key.bytes().size() == sluice::crypto::SecretKey::kSize;
}
