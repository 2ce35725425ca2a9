// Makes a key. Exits with 0 if it has one.
#include <sluice/crypto/key/secret_key.hpp>

int main() {
  return sluice::crypto::SecretKey::generate().bytes().size() == sluice::crypto::SecretKey::kSize ? 0 : 1;
}
