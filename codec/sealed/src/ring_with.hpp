// A key ring with one key more.
#pragma once

#include <utility>

#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"

namespace sluice::codec {

inline crypto::KeyRing with(crypto::KeyRing ring, crypto::SecretKey key) {
  ring.add(std::move(key));
  return ring;
}

}  // namespace sluice::codec
