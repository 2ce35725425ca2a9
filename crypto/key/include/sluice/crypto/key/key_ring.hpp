// Several keys, found by the key id in a file's header.
#pragma once

#include <vector>

#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

/// A set of keys. Fill it first; const use is thread-safe. Streams opened with it copy what they need.
class KeyRing {
 public:
  /// Adds a key; one with the same id replaces it.
  void add(SecretKey key);

  /// Forgets (and zeroes) a key; false if there is none.
  bool remove(const KeyId& id);

  /// The key with this id, or nullptr. Valid until the ring changes.
  const SecretKey* find(const KeyId& id) const noexcept;

  const std::vector<SecretKey>& keys() const noexcept { return keys_; }

 private:
  std::vector<SecretKey> keys_;
};

/// What opens a stream: one key or a ring of them. Refers to its argument, which must outlive the call it is
/// given to; written as a parameter type so that either can be passed.
class Keys {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): either kind of key is an argument
  Keys(const SecretKey& key) noexcept : key_(&key) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Keys(const KeyRing& ring) noexcept : ring_(&ring) {}

  const SecretKey* find(const KeyId& id) const noexcept;
  /// All of them, for formats that name no key.
  std::vector<const SecretKey*> all() const;

 private:
  const SecretKey* key_ = nullptr;
  const KeyRing* ring_ = nullptr;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop
